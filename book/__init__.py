"""The tools that make the book: read lessons, pair, lint, execute, publish (`python -m book.build --help`)."""
