"""Builds the documentation's site: `python docs/site/build.py FOLDER`.

The pages are the Markdown files of `docs/`, the READMEs of the plugins and a few more, as they can
be read in the repository too. This gathers them, points links at their places in the site, makes the
table of contents of the lists in `docs/index.md`, and runs Sphinx, to which every warning is an error.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(__file__).parent
DECISIONS = ROOT / "docs/decisions"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
CODE = re.compile(r"^(```.*?^```|(?: {4}[^\n]*\n)+)", re.MULTILINE | re.DOTALL)


def pages() -> dict[Path, str]:
    """Name the files that are pages, each with its name in the site."""
    found = {path: path.stem for path in sorted((ROOT / "docs").glob("*.md"))}
    found |= {path: f"decisions/{path.stem}" for path in sorted(DECISIONS.glob("*.md"))}
    for path in sorted(ROOT.glob("plugins/*/README.md")):
        found[path] = f"plugins/{path.parent.name}"
    for pattern in ("examples/README.md", "examples/*/README.md", "benchmarks/README.md"):
        for path in sorted(ROOT.glob(pattern)):
            found[path] = "-".join(path.parent.relative_to(ROOT).parts)
    found[ROOT / "CHANGELOG.md"] = "changelog"
    found[ROOT / "CONTRIBUTING.md"] = "contributing"
    found[ROOT / "SECURITY.md"] = "security-policy"
    return found


def gather(folder: Path) -> None:
    """Write the site's sources into an empty folder."""
    places = pages()
    texts = {
        name: _relinked(path, folder / f"{name}.md", folder, places)
        for path, name in places.items()
    }
    trees = contents(texts["index"])
    for path, name in places.items():
        text = texts[name]
        if name == "index":
            text += trees
        elif {ROOT / "examples", DECISIONS} & {*path.parents} and f"\n{name}\n" not in trees:
            text = f"---\norphan: true\n---\n\n{text}"  # reached by links from other pages
        page = folder / f"{name}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    for picture in sorted((ROOT / "docs").glob("*/*.svg")):
        copy = folder / picture.relative_to(ROOT / "docs")
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(picture, copy)
    (folder / "_static").mkdir()
    shutil.copy(SITE / "site.css", folder / "_static")
    shutil.copy(SITE / "conf.py", folder)


def _relinked(path: Path, page: Path, folder: Path, places: dict[Path, str]) -> str:
    """Give a page's text with links that lead to pages of the site.

    A link to a file of the repository that is no page keeps its words, as the site has no such file.
    """

    def place(match: re.Match[str]) -> str:
        text, target, anchor = match.group(1), match.group(2), match.group(3) or ""
        aim = (path.parent / target).resolve()
        if aim.is_dir() and (aim / "README.md") in places:
            aim /= "README.md"
        if aim in places:
            there = os.path.relpath(folder / f"{places[aim]}.md", page.parent)
            return f"[{text}]({there}{anchor})"
        if not aim.exists():
            raise SystemExit(f"{path.relative_to(ROOT)} links to {target}, which is not there")
        return text if "`" in text else f"`{aim.relative_to(ROOT)}`"

    parts = CODE.split(path.read_text(encoding="utf-8"))
    return "".join(part if index % 2 else LINK.sub(place, part) for index, part in enumerate(parts))


def contents(index: str) -> str:
    """Make the table of contents: a tree for each heading of the index, of the pages it links to."""
    trees = []
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0].strip()
        linked = dict.fromkeys(
            match[2] for match in LINK.finditer(section) if match[2] != "index.md"
        )
        names = "\n".join(target.removesuffix(".md") for target in linked)
        trees.append(f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{names}\n```\n")
    return "".join(trees)


def main(out: str) -> int:
    """Build the site into a folder; give what Sphinx says, 0 if all is well."""
    from sphinx.cmd.build import build_main

    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "docs")
        source.mkdir()
        gather(source)
        strict = ["-W", "--keep-going", "-n", "-E", "-q", "-j", "2"]
        caches = ["-d", str(Path(scratch, "doctrees"))]
        return build_main([*strict, *caches, "-b", "html", str(source), out])


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit("usage: python docs/site/build.py FOLDER")
    raise SystemExit(main(sys.argv[1]))
