"""References lead somewhere: deviations, sections, equations, checks, decisions, pages and functions that a text cites exist."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
METHOD, DEVIATIONS = ROOT / "docs/method.md", ROOT / "docs/deviations.md"
FILES = sorted(
    path
    for pattern in ("*.md", "Makefile", "docs/**/*.md", "src/**/*", "tests/**/*", "benchmarks/**/*", "configs/**/*")
    for path in ROOT.glob(pattern)
    if path.suffix in {".md", ".py", ".yaml", ""} and path.is_file() and path != Path(__file__).resolve()
    if "egg-info" not in str(path)
)

LIST = r"([A-Z]?\d+(?:(?:, | to | and |-)[A-Z]?\d+)*)(?!\.?\d)"  # "A5", "E1 to E6", "4 and 7"
CITED = {
    "deviation": rf"\bdeviations? (?=[A-Z]\d){LIST}",
    "section": rf"\bmethod(?:\.md|,) sections? {LIST}",
    "equation": rf"\bmethod, (?:sections? \d+, )?eqs?\. {LIST}",
    "check": rf"\bmethod, (?:sections? \d+, )?checks? {LIST}",
    "decision": rf"\bdecisions? {LIST}",
}
BESIDE_THE_METHOD = {"section": rf"\bsections? {LIST}", "equation": rf"\beqs?\. {LIST}", "check": rf"\bchecks? {LIST}"}
"""On the pages of the method and of the deviations, and for checks in tests, the page need not be named."""
WITHOUT_PAGE = re.compile(
    r"(?<!method, )(?<!\d{4}, )(?<!section \d, )(?<!section \d\d, )\beqs?\. \(?\d+|\bmethod (?:sections?|checks?|eqs?\.) \d+"
)
"""Citations that do not say of what: an equation is the method's or a paper's ("2004, eq. 6")."""

INSIDE_WORDS = {
    r"\bpitfalls?\b": "deviations are numbered in docs/deviations.md",
    r"\bsnapshots?\b": "the published code has a name and a revision",
    r"did not reach us|numbers? lost": "the paper is public: quote a value or leave it out",
    r"\b(?:house|trust|style|libraries|pitfalls)\.md\b": "the repository has no such page",
    r"\breference description\b": "the repository has no such page",
    r"(?<![\w.])/work/|shared/design": "a path on one machine",
    r"\breview found\b": "says how the work was organised, not what holds",
}
"""Words that no file may contain, and why."""
PROSE_WORDS = {
    r"(?<!power )\blaws?\b": "say distribution",
    r"\bcritics?\b(?!.*wasserstein)": "say discriminator, unless the loss is Wasserstein's",
    r"(?<![-.])\bspread\b(?! (?:evenly|over|out|across))": "say uncertainty or standard deviation",
    r"\btold\b": "a program reports, warns or is given",
    r"\btells? of\b": "say what it states or shows",
    r"\bin place of\b": "say instead of",
    r"\bat hand\b": "say available, or leave it out",
    r"\bmet\b(?!-)": "say seen, found or reached",
    r"; else\b": "write a second sentence with otherwise",
    r"\b(?:was|were) asked for\b": "says how the work was organised, not what holds",
    r"\bmorning'?s?\b": "a reader does not know which: give the commit or the command",
    r"\((?:the )?bars?\b": "a reader knows no such threshold: state what was measured",
}
"""Words that the prose of `PAGES` may not contain, and what to write instead."""
PAGES = (
    *(ROOT / page for page in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *(path for path in FILES if path.is_relative_to(ROOT / "src") and path.suffix in {".md", ".py"}),
)


def joined(path: Path) -> str:
    """Return a file's text with line breaks, and the signs of comments behind them, as single blanks."""
    return re.sub(r"\s*\n[ \t]*(?:#+ |- )?\s*", " ", path.read_text(encoding="utf-8"))


def expanded(cited: str) -> list[str]:
    """Return the single names in a list such as `E1 to E3, E5`."""
    names = []
    for part in re.split(r", | and ", cited):
        first, _, last = part.replace("-", " to ").partition(" to ")
        letter, number = re.match(r"([A-Z]?)(\d+)", first).groups()  # type: ignore[union-attr]
        names += [f"{letter}{each}" for each in range(int(number), int(last.lstrip(letter) or number) + 1)]
    return names


def numbers(pattern: str, text: str) -> set[str]:
    return {name for found in re.findall(pattern, text, re.MULTILINE) for name in expanded(found)}


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """Return what exists, by kind."""
    method = METHOD.read_text(encoding="utf-8")
    return {
        "deviation": set(rows()),
        "section": numbers(r"^## (\d+)\. ", method),
        "equation": numbers(r"^\((\d+)\)", method) | numbers(r"^\(\d+\)-\((\d+)\)", method),
        "check": numbers(r"^ ?(\d+)\. ", method.partition("## 13.")[2]),
        "decision": {str(int(page.name[:4])) for page in ROOT.glob("docs/decisions/*.md")},
    }


def rows() -> list[str]:
    """Return the ids of the rows of the table of deviations, in order."""
    return re.findall(r"^\| ([A-Z]\d+) \|", DEVIATIONS.read_text(encoding="utf-8"), re.MULTILINE)


def unresolved(text: str, known: dict[str, set[str]], patterns: dict[str, str]) -> list[str]:
    """Return the citations in a text that lead nowhere, such as `deviation Z9`."""
    return [
        f"{kind} {name}"
        for kind, pattern in patterns.items()
        for cited in re.findall(pattern, text)
        for name in expanded(cited)
        if name not in known[kind]
    ]


def patterns_for(path: Path) -> dict[str, str]:
    if path in (METHOD, DEVIATIONS):
        return CITED | BESIDE_THE_METHOD
    return CITED | ({"check": BESIDE_THE_METHOD["check"]} if path.is_relative_to(ROOT / "tests") else {})


def missing_pages(text: str) -> list[str]:
    """Return the `docs/....md` that a text names and the repository lacks."""
    return [page for page in re.findall(r"\bdocs/[\w/.-]+\.md\b", text) if not (ROOT / page).is_file()]


def missing_functions(text: str) -> list[str]:
    """Return the functions or classes cited as `core/experts.py: product_of_experts` that their module does not define."""
    missing = []
    for module, name in re.findall(r"`([\w/]+\.py): (\w+)`", text):
        path = ROOT / "src/anymod" / module
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
        if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}:
            missing.append(f"{module}: {name}")
    return missing


def prose(path: Path) -> str:
    """Return what a file says in words: a page without its code, a module's comments and strings."""
    if path.suffix != ".py":
        return re.sub(r"^```.*?^```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    with tokenize.open(path) as stream:
        comments = [
            token.string for token in tokenize.generate_tokens(stream.readline) if token.type == tokenize.COMMENT
        ]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return re.sub(r"`[^`\n]*`", "", "\n".join(comments + strings))


def refused(text: str, words: dict[str, str]) -> list[str]:
    """Return the refused words in a text, each with the reason."""
    return [f"{found[0]}: {why}" for word, why in words.items() for found in re.finditer(word, text, re.IGNORECASE)]


def faults(check: Iterator[tuple[Path, list[str]]]) -> dict[str, list[str]]:
    return {str(path.relative_to(ROOT)): found for path, found in check if found}


def test_every_cited_deviation_section_equation_check_and_decision_exists(known: dict[str, set[str]]) -> None:
    assert faults((path, unresolved(joined(path), known, patterns_for(path))) for path in FILES) == {}


def test_every_citation_says_of_what() -> None:
    code = [path for path in FILES if path.suffix in {".py", ".yaml"}]
    assert faults((path, WITHOUT_PAGE.findall(joined(path))) for path in code) == {}


def test_every_cited_page_exists() -> None:
    assert faults((path, missing_pages(joined(path))) for path in FILES) == {}


def test_every_function_that_a_page_names_exists() -> None:
    assert faults((path, missing_functions(path.read_text(encoding="utf-8"))) for path in PAGES) == {}


def test_the_method_numbers_its_sections_equations_and_checks_without_gaps(known: dict[str, set[str]]) -> None:
    counts = {"section": 13, "equation": 28, "check": 24}
    assert {kind: known[kind] for kind in counts} == {
        kind: {str(number) for number in range(1, count + 1)} for kind, count in counts.items()
    }


def test_every_deviation_has_one_row_with_five_filled_cells() -> None:
    assert len(rows()) == len(set(rows()))
    lines = [line for line in DEVIATIONS.read_text(encoding="utf-8").splitlines() if re.match(r"\| [A-Z]\d", line)]
    assert [line for line in lines if len([cell for cell in line.strip("| ").split(" | ") if cell.strip()]) != 5] == []


def test_no_file_uses_inside_words() -> None:
    assert faults((path, refused(path.read_text(encoding="utf-8"), INSIDE_WORDS)) for path in FILES) == {}


def test_pages_use_plain_terms() -> None:
    assert faults((path, refused(prose(path), PROSE_WORDS)) for path in PAGES) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("as in the code (deviation A99)", ["deviation A99"]),
        ("deviations E5 to E8", ["deviation E7", "deviation E8"]),
        ("(method, section 14)", ["section 14"]),
        ("docs/method.md section 0", ["section 0"]),
        ("(method, section 5, eqs. 12 and 29)", ["equation 29"]),
        ("method, checks 24 and 25", ["check 25"]),
        ("decision 99", ["decision 99"]),
        (
            "deviation A8; method, section 9; method, eq. 14; method, check 3; decision 3; Dorent et al., section 44.4",
            [],
        ),
    ],
)
def test_a_wrong_citation_is_found(text: str, found: list[str], known: dict[str, set[str]]) -> None:
    assert unresolved(text, known, CITED) == found


def test_a_citation_over_two_lines_is_read(tmp_path: Path, known: dict[str, set[str]]) -> None:
    path = tmp_path / "module.py"
    path.write_text("# says nothing (method,\n    # section 77)\n", encoding="utf-8")
    assert unresolved(joined(path), known, CITED) == ["section 77"]


def test_a_missing_page_function_or_equation_of_nothing_is_found() -> None:
    assert missing_pages("see docs/nowhere/page.md and docs/method.md") == ["docs/nowhere/page.md"]
    assert missing_functions(
        "`core/experts.py: product_of_nothing`, `core/gone.py: draw`, `core/gaussians.py: draw`"
    ) == [
        "core/experts.py: product_of_nothing",
        "core/gone.py: draw",
    ]
    assert WITHOUT_PAGE.findall("(eq. 14), method check 3, method, eq. 14, Wang et al. 2004, eqs. 6") == [
        "eq. 14",
        "method check 3",
    ]


def test_refused_words_are_found_in_prose_and_not_in_code(tmp_path: Path) -> None:
    page, module = tmp_path / "page.md", tmp_path / "module.py"
    page.write_text("The law of z, in place of `law`.\n\n```\nlaw\n```\n", encoding="utf-8")
    module.write_text('"""The critics\' spread."""\nlaw = 1  # spread evenly, told\n', encoding="utf-8")
    assert [each.partition(":")[0] for each in refused(prose(page), PROSE_WORDS)] == ["law", "in place of"]
    assert [each.partition(":")[0] for each in refused(prose(module), PROSE_WORDS)] == ["critics", "spread", "told"]
    assert refused("a pitfall of the snapshot in /work/x", INSIDE_WORDS) != []
