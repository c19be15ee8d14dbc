"""What every method of anomaly detection shares: the head that it is shown, the map that it gives, the decisions."""

from medlab.methods.anomaly.error_map import ErrorMap
from medlab.methods.anomaly.heads import Heads, prepare_head, reference_head
from medlab.methods.anomaly.structures import seen, structures_of, truth_of

__all__ = ["ErrorMap", "Heads", "prepare_head", "reference_head", "seen", "structures_of", "truth_of"]
