"""Settings of the whole test run."""

import functools

from nbval import kernel

STARTS = 3


def _patiently(start):
    """A kernel is told ports that were free when looked for; another program may be quicker to take one of them."""

    @functools.wraps(start)
    def start_again(*arguments, **settings):
        for _ in range(STARTS - 1):
            try:
                return start(*arguments, **settings)
            except RuntimeError as error:
                if "Kernel died before replying" not in str(error):
                    raise
        return start(*arguments, **settings)

    return start_again


kernel.start_new_kernel = _patiently(kernel.start_new_kernel)
