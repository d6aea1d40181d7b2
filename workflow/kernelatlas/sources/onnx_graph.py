"""What of an ONNX file's graph leads to weights: convolutions, tensors and what stands between.

Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Union

from kernelatlas.sources.protobuf import Field, Wire
from kernelatlas.sources.source import Damaged, Refused, short
from kernelatlas.sources.weights import is_count

# Which input of a convolution is its weight.
CONVOLUTIONS = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3}
# What a weight may pass on its way to a convolution.
PASSED = {"Identity", "Cast", "QuantizeLinear", "DequantizeLinear"}
DOMAINS = {"", "ai.onnx", "com.microsoft"}
NUMBERS = {"group", "strides", "dilations", "axis", "to", "block_size", "output_dtype"}
INPUTS_LIMIT, ATTRIBUTES_LIMIT = 8, 1000  # of a node; further inputs are passed over
AXES_LIMIT = 64
DEPTH_LIMIT = 16  # of graphs in graphs, and of nodes between a weight and its convolution
GRAPH = 7  # field of a model
FLOAT = 1  # data type
FLOAT_DATA, INT32_DATA, INT64_DATA, RAW_DATA, DOUBLE_DATA = 4, 5, 7, 9, 10  # fields of a tensor
DATA = (FLOAT_DATA, INT32_DATA, INT64_DATA, RAW_DATA, DOUBLE_DATA, 6, 11)


class Tensor(NamedTuple):
    """Where a tensor is.

    Attributes
    ----------
    name, type, shape
        The type is a number of TensorProto.DataType.
    data
        The first and the last of the fields that hold its values; nearly always one.
    external
        Where in which other file its values are, if they are not in this one.
    constant
        Whether it is the output of a node, and not an initializer.
    """

    name: str
    type: int
    shape: tuple[int, ...]
    data: tuple[Field, ...]
    external: dict[str, str] | None
    constant: bool = False

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


@dataclass(eq=False)
class Scope:
    """The tensors and nodes of a graph by the names of their outputs.

    Attributes
    ----------
    parent
        That of the graph around this one.
    local
        Whether the graph is the body of a function that the model defines.
    """

    parent: "Scope | None" = None
    local: bool = False
    found: dict[str, Union[Tensor, "Node"]] = field(default_factory=dict)

    def find(self, name: str) -> "Tensor | Node | None":
        scope: Scope | None = self
        while scope is not None and name not in scope.found:
            scope = scope.parent
        return scope.found[name] if scope is not None else None

    def add(self, name: str, made: "Tensor | Node") -> None:
        if name in self.found:
            raise Damaged(f"two tensors are called {short(name)}")
        self.found[name] = made


class Node(NamedTuple):
    """A convolution, or what a weight may pass on its way to one."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    numbers: dict[str, list[int]]
    scope: Scope

    def number(self, name: str, default: int) -> int:
        values = self.numbers.get(name, [default])
        if len(values) != 1:
            raise Damaged(f"{name} of node {short(self.name)} is not one number")
        return values[0]

    def input(self, index: int) -> str:
        """Return the name of an input; empty if there is none."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def origin(self, index: int) -> tuple[Tensor, list["Node"]] | None:
        """Return the tensor that an input comes from and the nodes that it passes, in order.

        None if it is not a stored tensor: an input of the network, or computed by it.
        """
        node, passed = self, list["Node"]()
        for _ in range(DEPTH_LIMIT):
            name = node.input(index)
            found = node.scope.find(name) if name else None
            if isinstance(found, Tensor):
                return found, passed[::-1]
            if found is None:
                return None
            passed.append(found)
            node, index = found, 0
        return None


class Graphs:
    """What a model's graphs hold, of which most is passed over.

    Attributes
    ----------
    convolutions
        In the model's order; those in graphs inside graphs, such as bodies of loops, too.
    tensors
        Number of initializers and constants.
    """

    def __init__(self, wire: Wire) -> None:
        self.convolutions: list[Node] = []
        self.tensors = 0
        self._wire = wire
        graphs = 0
        for part in wire.fields(0, wire.pages.size):
            if part.number == GRAPH:
                graphs += 1
                self._read_graph(part, Scope(), 0)
            elif part.number == 25:  # a function of the model's own
                self._read_graph(part, Scope(local=True), 0, nodes=7)
        if graphs != 1:
            raise Damaged(f"{graphs} graphs where one is expected")

    def _read_graph(self, graph: Field, scope: Scope, depth: int, nodes: int = 1) -> None:
        if depth > DEPTH_LIMIT:
            raise Refused(f"has graphs in graphs, deeper than {DEPTH_LIMIT}: check the file")
        for part in self._wire.message(graph):
            if part.number == nodes:
                self._read_node(part, scope, depth)
            elif part.number == 5 and not scope.local:
                tensor = self._tensor(part)
                scope.add(tensor.name, tensor)
            elif part.number == 15 and not scope.local:  # a sparse initializer
                self.tensors += 1

    def _read_node(self, node: Field, scope: Scope, depth: int) -> None:
        wire = self._wire
        inputs: list[Field] = []
        attributes: list[Field] = []
        texts: dict[int, Field] = {}
        for part in wire.message(node):
            if part.number == 1 and len(inputs) < INPUTS_LIMIT:
                inputs.append(part)
            elif part.number == 5:
                attributes.append(part)
                if len(attributes) > ATTRIBUTES_LIMIT:
                    raise Damaged(f"a node at {node.begin} of too many attributes")
            elif part.number in (2, 3, 4, 7):
                texts.setdefault(part.number, part)  # the first of several outputs
        domain, kind = (self._keyword(texts[n]) if n in texts else "" for n in (7, 4))
        if domain not in DOMAINS:
            kind = ""
        numbers = {}
        for attribute in attributes:
            name = self._name(attribute)
            if kind == "Constant":
                output = wire.text(texts[2]) if 2 in texts else ""
                self._read_constant(attribute, name, output, scope)
            elif kind not in CONVOLUTIONS and kind not in PASSED:
                for part in wire.message(attribute):
                    if part.number in (6, 11):  # a graph, or one of several
                        self._read_graph(part, Scope(scope, scope.local), depth + 1)
            elif name in NUMBERS:
                numbers[name] = self._numbers(attribute)
        if kind in CONVOLUTIONS or kind in PASSED:
            wire.keep(1024)
            name, output = (wire.text(texts[n]) if n in texts else "" for n in (3, 2))
            found = Node(kind, name, tuple(map(wire.text, inputs)), numbers, scope)
            if kind in CONVOLUTIONS:
                self.convolutions.append(found)
            else:
                scope.add(output, found)

    def _keyword(self, part: Field) -> str:
        """Return a text of the format's own; empty if it is longer than all of them."""
        length = part.stop - part.begin
        return self._wire.pages.take(part.begin, length).decode(errors="replace") * (length < 32)

    def _name(self, attribute: Field) -> str:
        for part in self._wire.message(attribute):
            if part.number == 1:
                return self._keyword(part)
        return ""

    def _numbers(self, attribute: Field) -> list[int]:
        values: list[int] = []
        for part in self._wire.message(attribute):
            if part.number in (3, 8):
                values += self._wire.integers(part, AXES_LIMIT)
                if len(values) > AXES_LIMIT:
                    raise Damaged(f"an attribute at {attribute.begin} of too many numbers")
        return values

    def _read_constant(self, attribute: Field, name: str, output: str, scope: Scope) -> None:
        for part in self._wire.message(attribute):
            tensor = None
            if name == "value" and part.number == 5:
                tensor = self._tensor(part)._replace(name=output, constant=True)
            elif name == "value_float" and part.number == 2:
                data = part._replace(number=FLOAT_DATA)
                tensor = Tensor(output, FLOAT, (), (data,), None, constant=True)
                self.tensors += 1
            if tensor is not None:
                scope.add(output, tensor)

    def _tensor(self, tensor: Field) -> Tensor:
        wire = self._wire
        name, kind, outside = "", 0, False
        shape: list[int] = []
        data: list[Field] = []
        external: dict[str, str] = {}
        for part in wire.message(tensor):
            if part.number == 1:
                shape += wire.integers(part, AXES_LIMIT)
                if len(shape) > AXES_LIMIT:
                    raise Damaged(f"a tensor at {tensor.begin} of too many axes")
            elif part.number == 2:
                kind = part.value
            elif part.number == 8:
                name = wire.text(part)
            elif part.number in DATA:
                data = [*data[:1], part]
            elif part.number == 13:
                texts = {entry.number: wire.text(entry) for entry in wire.message(part)}
                external[texts.get(1, "")] = texts.get(2, "")
                wire.keep(256)
            elif part.number == 14:
                outside = part.value == 1
        if not all(map(is_count, shape)):
            raise Damaged(f"tensor {short(name)} has no valid shape")
        wire.keep(1024)
        self.tensors += 1
        return Tensor(name, kind, tuple(shape), tuple(data), external if outside else None)
