"""Every ONNX operation by itself: the function is kept at any scales, and no freedom is missed or invented.

The number of free scales is given by hand.

Rooms: onnx, models.
"""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason='needs onnx: pip install "balance-graph[onnx]"')
pytest.importorskip("onnxruntime", reason='needs onnxruntime: pip install "balance-graph[onnx]"')

from onnx import TensorProto, helper  # noqa: E402
from onnx_models import (  # noqa: E402
    check,
    convs,
    gemms,
    model_of,
    one,
    random,
    single,
    weights_of,
)

from balance_graph.onnx import apply, balance_model, read_model  # noqa: E402

ints = np.array


# ---- operations between two linear layers of four units: 4 free scales where they are homogeneous ------------------

HOMOGENEOUS = {
    "Relu": one("Relu"),
    "LeakyRelu": one("LeakyRelu", alpha=0.2),
    "Abs": one("Abs"),
    "Neg": one("Neg"),
    "Identity": one("Identity"),
    "Dropout": one("Dropout"),
    "ThresholdedRelu at 0": one("ThresholdedRelu", alpha=0.0),
    "Cast": one("Cast", to=TensorProto.DOUBLE),
    "CastLike": [("CastLike", "h x", "r")],
    "PRelu": [("PRelu", "h s", "r")],
    "Sqrt": [("Abs", "h", "p"), ("Sqrt", "p", "r")],
    "Reciprocal": one("Reciprocal"),
    "Pow 2": [("Pow", "h two", "r")],
    "times itself": [("Mul", "h h", "r")],
    "Clip at 0": [("Clip", "h zero", "r")],
    "Clip as large as floats": [("Clip", "h zero huge", "r")],
    "Max with 0": [("Max", "h zero", "r")],
    "Min with -h": [("Neg", "h", "n"), ("Min", "h n", "r")],
    "Sum": [("Relu", "h", "p"), ("Sum", "h p h", "r")],
    "Mean": [("Relu", "h", "p"), ("Mean", "h p", "r")],
    "Sub": [("Relu", "h", "p"), ("Sub", "h p", "r")],
    "constant factor": [("Mul", "h three", "p"), ("Div", "p two", "r")],
    "division by constants": [("Div", "h apart", "r")],
    "Sign": [("Sign", "h", "s2"), ("Abs", "h", "p"), ("Mul", "s2 p", "r")],
    "Where": [("Greater", "h zero", "c"), ("Mul", "h two", "p"), ("Where", "c h p", "r")],
    "Where with Not": [("Less", "h zero", "c"), ("Not", "c", "d"), ("Where", "d h zero", "r")],
    "GreaterOrEqual to Cast": [("GreaterOrEqual", "h zero", "c"), ("Cast", "c", "d", {"to": 11}), ("Mul", "h d", "r")],
    "Einsum": [("Einsum", "h", "p", {"equation": "bi->ib"}), ("Transpose", "p", "r")],
    "Unsqueeze and Squeeze": [("Unsqueeze", "h axes", "p"), ("Squeeze", "p axes", "r")],
    "Reshape by Shape": [("Shape", "h", "s3"), ("Reshape", "h flat", "p"), ("Reshape", "p s3", "r")],
    "Flatten": one("Flatten"),
    "Transpose twice": [("Transpose", "h", "p"), ("Transpose", "p", "r")],
    "Slice and Concat": [
        ("Slice", "h i0 i2 i1", "p"),
        ("Slice", "h i2 i9 i1", "q"),
        ("Concat", "q p", "r", {"axis": 1}),
    ],
    "Slice backward": [("Slice", "h im1 im9 i1 im1", "r")],
    "Split": [("Split", "h", "p q", {"axis": 1, "num_outputs": 2}), ("Concat", "q p", "r", {"axis": -1})],
    "Gather columns": [("Gather", "h order", "r", {"axis": 1})],
    "GatherElements": [("GatherElements", "h places", "r", {"axis": 1})],
    "GatherND": [("Transpose", "h", "p"), ("GatherND", "p rows", "q"), ("Transpose", "q", "r")],
    "Compress": [("Compress", "h all", "r", {"axis": 1})],
    "Expand": [("Unsqueeze", "h i0", "p"), ("Expand", "p size", "q"), ("ReduceMean", "q i0", "r", {"keepdims": 0})],
    "Trilu": [("Trilu", "h", "p"), ("Trilu", "h one64", "q", {"upper": 0}), ("Add", "p q", "r")],
    "Pad and Slice": [("Pad", "h pads", "p"), ("Slice", "p i1 i5 i1", "r")],
    "ScatterND of zeros": [("Transpose", "h", "p"), ("ScatterND", "p row zeros2", "q"), ("Transpose", "q", "r")],
    "CumSum over the batch": [("CumSum", "h i0s", "r")],
    "ReduceL1 of pieces": [("Unsqueeze", "h i2", "p"), ("ReduceL1", "p i2", "r", {"keepdims": 0})],
    "ReduceSumSquare of pieces": [("Unsqueeze", "h i2", "p"), ("ReduceSumSquare", "p i2", "r", {"keepdims": 0})],
    "reduction of nothing": one("ReduceSum", noop_with_empty_axes=1),
    "Tile": [("Tile", "h once", "p"), ("Slice", "p i0 i4 i1", "r")],
}
PINNING = {
    **{
        name: one(name)
        for name in [
            "Sigmoid",
            "Tanh",
            "HardSigmoid",
            "HardSwish",
            "Elu",
            "Selu",
            "Celu",
            "Gelu",
            "Mish",
            "Softplus",
            "Softsign",
        ]
    },
    **{
        name: one(name)
        for name in ["Exp", "Erf", "Sin", "Cos", "Atan", "Round", "Floor", "Ceil", "Softmax", "LogSoftmax", "Shrink"]
    },
    "ThresholdedRelu": one("ThresholdedRelu"),
    "Clip at 6": [("Clip", "h zero six", "r")],
    "plus a number": [("Add", "h three", "r")],
    "exponent from data": [("Abs", "h", "p"), ("Pow", "p h", "r")],
    "Mod": [("Mod", "h three", "r", {"fmod": 1})],
    "to integers and back": [("Cast", "h", "p", {"to": 7}), ("Cast", "p", "r", {"to": 11})],
    "Pad with a number": [("Pad", "h pads three", "p"), ("ReduceMax", "p i1", "q"), ("Add", "h q", "r")],
    "ReduceProd": [("ReduceProd", "h i1", "p"), ("Mul", "h p", "r")],
    "ReduceLogSumExp": [("ReduceLogSumExp", "h i1", "p"), ("Mul", "h p", "r")],
    "hard swish in parts": [
        ("Add", "h three", "p"),
        ("Clip", "p zero six", "q"),
        ("Mul", "h q", "s3"),
        ("Div", "s3 six", "r"),
    ],
}
# Ties all four units, or pairs of them.
TYING = {
    "ReduceMax": ([("ReduceMax", "h i1", "p"), ("Add", "h p", "r")], 1),
    "ReduceL2 divides": ([("ReduceL2", "h i1", "p"), ("Div", "h p", "r")], 1),
    "LpNormalization": (one("LpNormalization", axis=1), 1),
    "ArgMax picks": ([("ArgMax", "h", "p", {"axis": 1}), ("GatherElements", "h p", "q", {"axis": 1}), ("Add", "h q", "r")], 1),
    "TopK": ([("TopK", "h k", "r i", {"axis": 1})], 1),
    "CumSum": ([("CumSum", "h i1s", "r")], 1),
    "reversed sum": ([("Slice", "h im1 im9 i1 im1", "p"), ("Add", "h p", "r")], 2),
    "ScatterElements": ([("ScatterElements", "h places zeros24", "p", {"axis": 1, "reduction": "add"}), ("Relu", "p", "r")], 1),
    "Hardmax": ([("Hardmax", "h", "p"), ("Mul", "h p", "r")], 1),
    "Equal": ([("Equal", "h x4", "p"), ("Cast", "p", "q", {"to": 11}), ("Mul", "q h", "r")], 0),
}  # fmt: skip
CONSTANTS = {
    "zero": np.float64(0), "two": np.float64(2), "three": np.float64(3), "six": np.float64(6),
    "huge": np.float64(np.finfo(np.float32).max), "s": random(4, seed=9), "apart": 3 + random(2, 4),
    "axes": ints([1]), "flat": ints([-1]), "i0": ints([0]), "i1": ints([1]), "i2": ints([2]), "i4": ints([4]), "i5": ints([5]),
    "i9": ints([2**62]), "im1": ints([-1]), "im9": ints([-(2**62)]), "i0s": ints(0), "i1s": ints(1),
    "order": ints([2, 0, 3, 1]), "places": ints([[1, 0, 3, 2], [1, 0, 3, 2]]), "rows": ints([[3], [2], [1], [0]]),
    "all": np.array([True] * 4), "size": ints([3, 2, 4]), "one64": ints(-1), "pads": ints([0, 1, 0, 1]),
    "row": ints([[0]]), "zeros2": np.zeros((1, 2)), "once": ints([1, 2]), "k": ints([4]),
    "zeros24": np.zeros((2, 4)), "x4": np.ones((2, 4)) * 0.25,
}  # fmt: skip


def used(steps):
    names = {name for _, inputs, *_ in steps for name in inputs.split(" ")}
    return {name: CONSTANTS[name] for name in names & set(CONSTANTS)}


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_homogeneous_operations_leave_all_units_free(name):
    check(gemms(*HOMOGENEOUS[name], **used(HOMOGENEOUS[name])), 4)


@pytest.mark.parametrize("name", PINNING)
def test_other_operations_pin_what_they_read(name):
    check(gemms(*PINNING[name], **used(PINNING[name])), 0)


@pytest.mark.parametrize("name", TYING)
def test_operations_that_put_units_together_tie_them(name):
    steps, free = TYING[name]
    check(gemms(*steps, **used(steps)), free)


# ---- layers ---------------------------------------------------------------------------------------------------------


def test_negative_padding_cuts():
    model = gemms(("Concat", "h h", "p", {"axis": 1}), ("Pad", "p cut", "r"), cut=ints([0, -2, 0, -2]))
    found = balance_model(model)
    assert found.runtime == "ONNX Runtime"  # the reference evaluator refuses it
    assert found.log_scales.size == 4
    assert found.output_change < 1e-12


def norm(name, *parameters, **attributes):
    return (name, " ".join(["h", *parameters]), "r", attributes)


def affine(channels=4):
    return {"g": random(channels, seed=5), "c": random(channels, seed=6)}


STATISTICS = {"mu": random(4, seed=7), "var": 0.5 + random(4, seed=8) ** 2}
LAYERS = {
    "Conv": (lambda: convs(("Relu", "h", "r")), 4),
    "Conv 1d": (
        lambda: model_of(
            [("Conv", "x V a", "h", {"strides": [2]}), ("Relu", "h", "r"), ("Conv", "r W", "y", {"dilations": [2]})],
            {"V": random(4, 2, 3), "a": random(4), "W": random(3, 4, 2)}, [2, 2, 12],
        ),
        4,
    ),
    "Conv 3d": (
        lambda: model_of(
            [("Conv", "x V a", "h"), ("Relu", "h", "r"), ("Conv", "r W", "y", {"auto_pad": "SAME_UPPER"})],
            {"V": random(4, 2, 2, 2, 2), "a": random(4), "W": random(3, 4, 1, 1, 1)}, [1, 2, 4, 4, 4],
        ),
        4,
    ),
    "depthwise": (lambda: convs(("Relu", "h", "p"), ("Conv", "p D d", "r", {"group": 4}), D=random(4, 1, 2, 2), d=random(4)), 8),
    "grouped": (lambda: convs(("Relu", "h", "p"), ("Conv", "p D", "r", {"group": 2}), D=random(4, 2, 2, 2)), 8),
    "ConvTranspose": (lambda: convs(("Relu", "h", "p"), ("ConvTranspose", "p D d", "r", {"strides": [2, 2]}), D=random(4, 4, 2, 2), d=random(4)), 8),
    "kernel folded from a transposed one": (
        lambda: convs(("Transpose", "D", "E", {"perm": [1, 0, 2, 3]}), ("Relu", "h", "p"), ("Conv", "p E", "r"), D=random(4, 4, 1, 1)), 8,
    ),
    "bias added afterwards": (lambda: convs(("Relu", "h", "p"), ("Conv", "p D", "q"), ("Add", "q d", "r"), D=random(4, 4, 1, 1), d=random(1, 4, 1, 1)), 8),
    "channel shuffle": (
        lambda: convs(("Reshape", "h s5", "p"), ("Transpose", "p", "q", {"perm": [0, 2, 1, 3, 4]}), ("Reshape", "q s4", "t"), ("Add", "t h", "r"),
                      s5=ints([1, 2, 2, 6, 6]), s4=ints([0, -1, 6, 6])), 3,
    ),
    "DepthToSpace": (lambda: convs(("DepthToSpace", "h", "r", {"blocksize": 2}), wide=1), 1),
    "DepthToSpace of two": (lambda: convs(("Concat", "h h", "p", {"axis": 1}), ("DepthToSpace", "p", "r", {"blocksize": 2}), wide=2), 2),
    "DepthToSpace CRD of two": (
        lambda: convs(("Concat", "h h", "p", {"axis": 1}), ("DepthToSpace", "p", "r", {"blocksize": 2, "mode": "CRD"}), wide=2), 1,
    ),
    "DepthToSpace CRD": (lambda: convs(("DepthToSpace", "h", "p", {"blocksize": 2, "mode": "CRD"}), ("SpaceToDepth", "p", "r", {"blocksize": 2})), 4),
    "MaxPool": (lambda: convs(("MaxPool", "h", "r", {"kernel_shape": [2, 2]})), 4),
    "AveragePool": (lambda: convs(("AveragePool", "h", "r", {"kernel_shape": [2, 2], "count_include_pad": 1, "pads": [1, 1, 0, 0]})), 4),
    "LpPool": (lambda: convs(("LpPool", "h", "r", {"kernel_shape": [2, 2]})), 4),
    "GlobalAveragePool": (lambda: convs(("GlobalAveragePool", "h", "r")), 4),
    "GlobalMaxPool": (lambda: convs(("GlobalMaxPool", "h", "r")), 4),
    "ReduceMean of positions": (lambda: convs(("ReduceMean", "h axes", "r"), axes=ints([2, 3])), 4),
    "Resize": (lambda: convs(("Resize", "h  factors", "r", {"mode": "nearest"}), factors=np.array([1, 1, 2, 2], "f")), 4),
    "Resize by sizes, linear": (lambda: convs(("Resize", "h   sizes", "r", {"mode": "linear"}), sizes=ints([1, 4, 9, 3])), 4),
    "Pad": (lambda: convs(("Pad", "h pads", "r"), pads=ints([0, 0, 1, 1, 0, 0, 1, 1])), 4),
    "Pad by reflection": (lambda: convs(("Pad", "h pads", "r", {"mode": "reflect"}), pads=ints([0, 0, 1, 1, 0, 0, 1, 1])), 4),
    "Pad along axes": (lambda: convs(("Pad", "h pads  axes", "r", {"mode": "edge"}), pads=ints([1, 2]), axes=ints([-1])), 4),
    "squeeze and excitation": (
        lambda: convs(("Relu", "h", "p"), ("GlobalAveragePool", "p", "q"), ("Conv", "q D d", "t"), ("Relu", "t", "u"), ("Conv", "u E e", "v"),
                      ("HardSigmoid", "v", "w"), ("Mul", "p w", "r"), D=random(2, 4, 1, 1), d=random(2), E=random(4, 2, 1, 1), e=random(4)), 4 + 2,
    ),
    "residual": (lambda: convs(("Relu", "h", "p"), ("Conv", "p D", "q"), ("Add", "p q", "r"), D=random(4, 4, 1, 1)), 4),
    "PRelu of channels": (lambda: convs(("PRelu", "h s", "r"), s=random(4, 1, 1)), 4),
    "BatchNormalization": (lambda: convs(("Relu", "h", "p"), ("BatchNormalization", "p g c mu var", "r"), **affine(), **STATISTICS), 8),
    "BatchNormalization of shared ones": (
        lambda: convs(("BatchNormalization", "h u c mu u", "r"), c=random(4), mu=random(4), u=np.ones(4)), 0 + 4,
    ),
    "BatchNormalization whose mean is read elsewhere": (
        # the mean in the maximum has the scale of h, in the norm that of h as well
        lambda: convs(("Reshape", "mu s4", "k"), ("Max", "h k", "p"), ("BatchNormalization", "p g c mu var", "r"),
                      s4=np.array([1, 4, 1, 1]), **affine(), **STATISTICS), 4 + 4,
    ),
    "BatchNormalization that trains": (
        lambda: convs(("BatchNormalization", "h g c mu var", "r mo vo", {"training_mode": 1}), **affine(), **STATISTICS), 4,
    ),
    "LayerNormalization": (lambda: gemms(norm("LayerNormalization", "g", "c"), **affine()), 4),
    "LayerNormalization without epsilon": (lambda: gemms(norm("LayerNormalization", "g", "c", epsilon=0.0), **affine()), 5),
    "LayerNormalization in parts": (
        lambda: gemms(("ReduceMean", "h i1", "p"), ("Sub", "h p", "q"), ("Pow", "q two", "t"), ("ReduceMean", "t i1", "u"), ("Add", "u eps", "v"),
                      ("Sqrt", "v", "w"), ("Div", "q w", "z"), ("Mul", "z g", "k"), ("Add", "k c", "r"),
                      i1=ints([1]), two=np.float64(2), eps=np.float64(1e-5), **affine()), 4,
    ),
    "RMSNormalization": (lambda: gemms(norm("RMSNormalization", "g"), g=random(4), opset=23), 4),
    "InstanceNormalization": (lambda: convs(norm("InstanceNormalization", "g", "c"), **affine()), 4),
    "GroupNormalization": (lambda: convs(norm("GroupNormalization", "g", "c", num_groups=2), **affine()), 4),
    "GroupNormalization of opset 18": (lambda: convs(norm("GroupNormalization", "g", "c", num_groups=2), opset=18, **affine(2)), 2),
    "Gemm transposed": (lambda: gemms(("Gemm", "h D d", "r", {"transB": 1, "alpha": 0.5, "beta": 2.0}), D=random(4, 4), d=random(4)), 8),
    "Gemm of the transposed": (
        lambda: gemms(("Transpose", "h", "t"), ("Gemm", "t D", "r", {"transA": 1}), D=random(4, 4)), 8,
    ),
    "weights transposed in the graph": (lambda: gemms(("Transpose", "D", "E"), ("MatMul", "h E", "r"), D=random(4, 4)), 8),
    "weights shared and transposed": (
        # D takes h_i to p_j, its transpose p_j to r_i: 2 p_j = h_i + r_i for all i and j
        lambda: gemms(("MatMul", "h D", "p"), ("Transpose", "D", "E"), ("MatMul", "p E", "r"), D=random(4, 4)), 4 + 1,
    ),
    "weights used twice": (lambda: gemms(("MatMul", "h D", "p"), ("Relu", "p", "q"), ("MatMul", "q D", "r"), D=random(4, 4)), 4 + 1),
    "weights cast": (lambda: gemms(("Cast", "D", "E", {"to": 11}), ("MatMul", "h E", "r"), D=random(4, 4)), 8),
    "Einsum with weights": (lambda: gemms(("Einsum", "h D", "r", {"equation": "bi,io->bo"}), D=random(4, 4)), 8),
    "gated": (
        lambda: gemms(("MatMul", "h D", "p"), ("MatMul", "h E", "q"), ("Mul", "p q", "r"), D=random(4, 4), E=random(4, 4, seed=4)), 4 + 4 + 4,
    ),
    "gate of a sigmoid": (
        lambda: gemms(("MatMul", "h D", "p"), ("MatMul", "h E", "q"), ("Sigmoid", "q", "t"), ("Mul", "p t", "r"), D=random(4, 4), E=random(4, 4, seed=4)), 8,
    ),
    "layer scale": (lambda: gemms(("Mul", "h g", "r"), g=random(4)), 8),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    make, free = LAYERS[name]
    check(make(), free)


def test_grouped_transposed_convolution():
    model = convs(("Relu", "h", "p"), ("ConvTranspose", "p D", "r", {"group": 2}), D=random(4, 2, 2, 2))
    found = read_model(single(model))  # the reference evaluator gets it wrong, the runtime has it in single precision
    assert (found.structure.size, found.runtime) == (8, "ONNX Runtime")
    report = balance_model(apply(found, np.random.default_rng(1).standard_normal(8)))
    assert report.output_change < 1e-5
    assert report.relative_imbalance < 1e-5


# ---- recurrent layers and attention -----------------------------------------------------------------------------------


def recurrent(name, gates, directions=1, **attributes):
    shapes = {"V": (directions, gates * 4, 3), "U": (directions, gates * 4, 4), "a": (directions, 2 * gates * 4)}
    weights = {k: random(*shape, scale=0.3) for k, shape in shapes.items()} | {"W": random(4 * directions, 3)}
    options = {"hidden_size": 4, "direction": "bidirectional" if directions == 2 else "forward", **attributes}
    nodes = [
        (name, "x V U a", "h", options),
        ("Transpose", "h", "t", {"perm": [0, 2, 1, 3]}),
        ("Reshape", "t shape", "r"),
        ("MatMul", "r W", "y"),
    ]
    return model_of(nodes, weights | {"shape": ints([0, 0, -1])}, [3, 2, 3])


@pytest.mark.parametrize(("name", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_layers_with_gates_are_pinned(name, gates):
    check(recurrent(name, gates), 0)


@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers_of_relu_are_free(directions):
    # In single precision: there the runtime knows them, and the reference evaluator nowhere.
    found = read_model(single(recurrent("RNN", 1, directions, activations=["Relu"] * directions)))
    assert (found.structure.size, found.runtime) == (4 * directions, "ONNX Runtime")
    report = balance_model(apply(found, np.linspace(-1, 1, 4 * directions)))
    assert report.output_change < 1e-5
    assert report.relative_imbalance < 1e-5


def attention(softmax):
    """Two heads of three features, width 4; exporters write (batch, length, heads, features) and move the heads."""
    weights = {k: random(4, 6, seed=n) for n, k in enumerate("QKV")} | {
        k: random(6, seed=9 + n) for n, k in enumerate("qkv")
    }
    nodes = []
    for k in "QKV":
        nodes += [("MatMul", f"x {k}", f"{k}1"), ("Add", f"{k}1 {k.lower()}", f"{k}2")]
    return model_of(
        [*nodes, *softmax, ("MatMul", "o W", "y")],
        weights | {"W": random(6, 4), "s4": ints([0, 0, 2, 3]), "s3": ints([0, 0, 6]), "root": np.float64(3**0.5)},
        [2, 5, 4], opset=23,
    )  # fmt: skip


PARTS = [
    *((f"{n}", f"{k}2 s4", f"{k}3") for k in "QKV" for n in ["Reshape"]),
    ("Transpose", "Q3", "Q4", {"perm": [0, 2, 1, 3]}),
    ("Transpose", "K3", "K4", {"perm": [0, 2, 3, 1]}),
    ("Transpose", "V3", "V4", {"perm": [0, 2, 1, 3]}),
    ("MatMul", "Q4 K4", "s"), ("Div", "s root", "s1"), ("Softmax", "s1", "p"), ("MatMul", "p V4", "c"),
    ("Transpose", "c", "c1", {"perm": [0, 2, 1, 3]}), ("Reshape", "c1 s3", "o"),
]  # fmt: skip
WHOLE = [("Attention", "Q2 K2 V2", "o", {"q_num_heads": 2, "kv_num_heads": 2})]


@pytest.mark.parametrize("steps", [PARTS, WHOLE], ids=["in parts", "in one operation"])
def test_attention_is_free_feature_by_feature(steps):
    check(attention(steps), 6 + 6)  # query against key, value against output


def test_the_ways_to_write_attention_balance_alike():
    one, other = (balance_model(attention(steps)) for steps in (PARTS, WHOLE))
    assert one.cost == pytest.approx(other.cost, rel=1e-12)
    for name, values in weights_of(one.model).items():
        np.testing.assert_allclose(values, weights_of(other.model)[name], rtol=1e-8)


def test_grouped_queries_and_rotary_embeddings():
    tables = {"cos": np.cos(random(1, 5, 2)), "sin": np.sin(random(1, 5, 2))}
    steps = [
        *((("RotaryEmbedding"), f"{k}2 cos sin", f"{k}5", {"num_heads": n}) for k, n in (("Q", 2), ("K", 1))),
        ("Attention", "Q5 K5 V2", "o", {"q_num_heads": 2, "kv_num_heads": 1, "is_causal": 1}),
    ]
    weights = {"Q": random(4, 8), "K": random(4, 4, seed=1), "V": random(4, 4, seed=2)}
    nodes = [("MatMul", f"x {k}", f"{k}2") for k in "QKV"]
    model = model_of(
        [*nodes, *steps, ("MatMul", "o W", "y")], weights | {"W": random(8, 4)} | tables, [1, 5, 4], opset=23
    )
    # Of four features two are turned together, with those of all queries that read them; values feature by feature.
    check(model, 2 + 4)


def test_rotary_tables_are_no_parameters():
    table = random(5, 6)
    model = model_of(
        [("MatMul", "x Q", "q"), ("Mul", "q table", "r"), ("MatMul", "r W", "y")],
        {"Q": random(4, 6), "table": table, "W": random(6, 4)}, [2, 5, 4],
    )  # fmt: skip
    report = check(model, 6)
    np.testing.assert_array_equal(weights_of(report.model)["table"], table)


def test_embeddings():
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])
    nodes = [("Gather", "E ids", "e"), ("Add", "e P", "p"), ("MatMul", "p W", "r"), ("Add", "r x", "y")]
    weights = {"E": random(7, 4), "P": random(5, 4), "W": random(4, 3)}
    model = model_of(nodes, weights, [1, 5, 3], more_inputs=[ids])
    check(model, 4)
    inputs = {"ids": np.array([[6, 2, 0, 1, 3]]), "x": np.zeros((1, 5, 3))}
    check(model, 4, example_inputs=inputs)
