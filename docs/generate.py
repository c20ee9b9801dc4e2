"""Writes the reference pages from the code: ``python -m docs.generate [--check]``.

With ``--check`` nothing is written; pages that differ from the code are named and the exit code is 1.
"""

import sys
from pathlib import Path

from pulse_assets.catalogue import TABLES
from pulse_assets.trust.licensing.gates import REASONS
from pulse_resources.lake import TableContract

REFERENCE = Path(__file__).parent / "reference"
HEAD = "# Tables\n\nWritten by `make docs` from the table contracts; do not edit.\n"


def table_page() -> str:
    """Return the reference of all tables as markdown."""
    index = "\n".join(f"* [`{t.name}`](#{t.name.replace('/', '')}): {t.description}" for t in TABLES)
    return "\n".join([HEAD, index, *(_table(contract) for contract in TABLES), _reasons()])


def _table(contract: TableContract) -> str:
    facts = [f"Key: {', '.join(f'`{name}`' for name in contract.key)}."]
    if contract.partition:
        facts.append(f"Partition: `{contract.partition}`, in folders by {contract.physical or 'its value'}.")
    else:
        facts.append("Grows only; no partitions.")
    if contract.rules:
        facts.append("Rules: " + "; ".join(rule.says for rule in contract.rules) + ".")
    rows = [
        f"| `{c.name}` | {c.type} | {c.unit or ''} | {'yes' if c.nullable else ''} | {c.description} |"
        for c in contract.columns
    ]
    head = ["| column | type | unit | null | meaning |", "|---|---|---|---|---|"]
    return "\n".join([f"\n## {contract.name}\n", f"{contract.description}.\n", " ".join(facts), "", *head, *rows])


def _reasons() -> str:
    lines = "\n".join(f"| `{code}` | {words} |" for code, words in REASONS.items())
    return f"\n## Reason codes of licences\n\n| code | meaning |\n|---|---|\n{lines}\n"


def main() -> int:
    """Write or check the pages."""
    pages = {REFERENCE / "tables.md": table_page()}
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path.name} differs from the code; run `make docs`\n")
        return int(bool(stale))
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
