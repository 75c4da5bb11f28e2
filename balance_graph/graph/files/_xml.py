"""XML as a tree that knows its lines, which xml.etree does not keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from balance_graph.graph.files._refusal import refuse

_DEEPEST = 100


@dataclass(slots=True)
class Element:
    """An element, its tag without the namespace."""

    tag: str
    attributes: dict[str, str]
    line: int
    texts: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)

    def get(self, name: str) -> str:
        """An attribute that must be there."""
        if name not in self.attributes:
            refuse(f"<{self.tag}> has no {name}", self.line)
        return self.attributes[name]

    def all(self, tag: str) -> list[Element]:
        """The children with that tag."""
        return [child for child in self.children if child.tag == tag]


def parse_xml(text: str) -> Element:
    """The root of a document without DOCTYPE: entities (expansion bombs, files from elsewhere) need one."""
    parser = expat.ParserCreate("utf-8", "}")
    parser.buffer_text = True
    stack = [Element("", {}, 0)]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > _DEEPEST:
            refuse("elements are nested too deeply to be a network", parser.CurrentLineNumber)
        element = Element(tag.rpartition("}")[2], attributes, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def characters(text: str) -> None:
        stack[-1].texts.append(text)

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = lambda *_: refuse("a DOCTYPE is not accepted; remove it", parser.CurrentLineNumber)
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        refuse(f"not valid XML: {expat.ErrorString(error.code)}", error.lineno)
    return stack[0].children[0]
