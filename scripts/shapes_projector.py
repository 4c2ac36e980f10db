#!/usr/bin/env python3
"""Builds a projector (mmproj) for a small language model, and pictures to test it with.

No vision model of llama.cpp's is among the packages that tests may fetch, so one is made of two that are: the encoder of DINOv2 (small)
and the token embeddings of SmolLM2-135M. Scenes of one coloured shape are drawn, and a linear map from the encoder's patches to the
embeddings of the words for them is fitted in closed form (ridge regression). Six pairs of colour and shape are never shown to it.

    python3 scripts/shapes_projector.py DINOV2.onnx SMOLLM2.gguf FOLDER

writes FOLDER/mmproj.gguf (48 MB), FOLDER/shapes/NN_COLOUR_SHAPE.png (48 pictures of the unseen pairs) and
FOLDER/seen/NN_COLOUR_SHAPE.png (48 pictures of the pairs that were fitted). It needs numpy, pillow, onnx, onnxruntime and gguf, and takes two
minutes. The map goes through mtmd's graph `internvl`, whose two layers with GELU compute a linear map exactly: gelu(x) - gelu(-x) = x.
"""

import math
import random
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from PIL import Image, ImageDraw

COLOURS = {
    "red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 70, 220),
    "yellow": (240, 210, 40), "purple": (140, 50, 170), "orange": (245, 140, 30),
}
SHAPES = ["circle", "square", "triangle", "star", "cross"]
GROUNDS = {"white": (250, 250, 250), "gray": (128, 128, 128), "black": (15, 15, 15)}
UNSEEN = {("red", "star"), ("green", "circle"), ("blue", "triangle"), ("yellow", "cross"), ("purple", "square"), ("orange", "star")}
FITTED, TESTED = 360, 48
SIDE, PATCH, WIDTH, LAYERS, HEADS = 224, 14, 384, 12, 6
LAST = "/backbone/layernorm/Add_1_output_0"
RIDGE = 30.0


def draw(canvas, shape, x, y, radius, colour, turn):
    def point(angle, length):
        return x + length * math.cos(angle + turn), y + length * math.sin(angle + turn)

    if shape == "circle":
        canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
    elif shape == "square":
        canvas.polygon([point(math.pi / 4 + k * math.pi / 2, radius * 1.2) for k in range(4)], fill=colour)
    elif shape == "triangle":
        canvas.polygon([point(-math.pi / 2 + k * 2 * math.pi / 3, radius * 1.2) for k in range(3)], fill=colour)
    elif shape == "star":
        lengths = [radius * 1.25, radius * 0.5]
        canvas.polygon([point(-math.pi / 2 + k * math.pi / 5, lengths[k % 2]) for k in range(10)], fill=colour)
    else:
        for bar in (0, math.pi / 2):
            ends = ((-0.3, radius * 1.15), (0.3, radius * 1.15), (math.pi - 0.3, radius * 1.15), (math.pi + 0.3, radius * 1.15))
            canvas.polygon([point(bar + angle, length) for angle, length in ends], fill=colour)


def scene(rng):
    """A picture, how much of each of its 8 x 8 cells the shape covers, and (ground, colour, shape)."""
    ground, colour, shape = rng.choice(list(GROUNDS)), rng.choice(list(COLOURS)), rng.choice(SHAPES)
    picture, mask = Image.new("RGB", (448, 448), GROUNDS[ground]), Image.new("L", (448, 448), 0)
    radius = rng.uniform(70, 150)
    x, y = rng.uniform(radius + 20, 428 - radius), rng.uniform(radius + 20, 428 - radius)
    turn = rng.uniform(-0.35, 0.35)
    shade = tuple(max(0, min(255, value + rng.randint(-18, 18))) for value in COLOURS[colour])
    draw(ImageDraw.Draw(picture), shape, x, y, radius, shade, turn)
    draw(ImageDraw.Draw(mask), shape, x, y, radius, 255, turn)
    cells = np.asarray(mask.resize((8, 8), Image.BOX)) / 255
    return picture.resize((SIDE, SIDE), Image.LANCZOS), cells, (ground, colour, shape)


def scenes():
    rng = random.Random(7)
    fitted, tested = [], []
    while len(fitted) < FITTED + TESTED or len(tested) < TESTED:
        one = scene(rng)
        (tested if one[2][1:] in UNSEEN else fitted).append(one)
    return fitted[:FITTED], fitted[FITTED:FITTED + TESTED], tested[:TESTED]


def network(path, folder):
    """The encoder cut at its last layer, for one picture, and its position embeddings for that size."""
    model = onnx.utils.extract_model
    cut = Path(folder) / "cut.onnx"
    onnx.utils.extract_model(str(path), str(cut), ["input_image"], [LAST], check_model=False)
    graph = onnx.load(cut)
    shape = graph.graph.input[0].type.tensor_type.shape
    for dimension, size in zip(shape.dim, (1, 3, SIDE, SIDE)):
        dimension.Clear()
        dimension.dim_value = size
    del graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info(LAST, onnx.TensorProto.FLOAT, None))
    onnx.save(graph, cut)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    folded = Path(folder) / "folded.onnx"
    options.optimized_model_filepath = str(folded)
    session = onnxruntime.InferenceSession(str(cut), options)
    tensors = [numpy_helper.to_array(tensor) for tensor in onnx.load(folded).graph.initializer
               if list(tensor.dims) == [1, 1 + (SIDE // PATCH) ** 2, WIDTH]]
    if len(tensors) != 1:
        raise SystemExit(f"{path}: {len(tensors)} tensors look like position embeddings")
    return session, tensors[0][0]


def features(session, pictures):
    mean, deviation = np.array([0.485, 0.456, 0.406], "f4"), np.array([0.229, 0.224, 0.225], "f4")
    rows = []
    for picture in pictures:
        pixels = (np.asarray(picture, "f4") / 255 - mean) / deviation
        rows.append(session.run(None, {"input_image": pixels.transpose(2, 0, 1)[None]})[0][0, 1:])
    return np.stack(rows)


def shuffled(rows):
    """Each 2 x 2 patches side by side, in the order of mtmd's graph, and normalised."""
    count, side = len(rows), SIDE // PATCH
    x = rows.reshape(count, side, side // 2, WIDTH * 2)
    x = x.transpose(0, 2, 1, 3).reshape(count, side // 2, side // 2, WIDTH * 4)
    x = x.transpose(0, 2, 1, 3).reshape(count, (side // 2) ** 2, WIDTH * 4)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def embeddings(path):
    reader = gguf.GGUFReader(path)
    words = {token: index for index, token in enumerate(reader.fields["tokenizer.ggml.tokens"].contents())}
    table = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight")
    size = int(table.shape[0])

    def of(word):
        index = words.get("Ġ" + word, words.get("▁" + word))
        return gguf.dequantize(table.data[index:index + 1], table.tensor_type).reshape(-1)[:size]

    return of, size


def fit(rows, cells, labels, of, size):
    target = np.zeros((len(rows), 64, size), np.float32)
    for index, (_, colour, shape) in enumerate(labels):
        covered = cells[index].reshape(64, 1)
        target[index] = covered * (of(colour) + of(shape)) / 1.4 + (1 - covered) * of("picture")
    a, b = rows.reshape(-1, WIDTH * 4), target.reshape(-1, size)
    weight = (np.stack(cells).reshape(-1) * 3 + 1)[:, None]
    mean_a, mean_b = (a * weight).sum(0) / weight.sum(), (b * weight).sum(0) / weight.sum()
    centred = a - mean_a
    matrix = np.linalg.solve((centred * weight).T @ centred + RIDGE * np.eye(WIDTH * 4), (centred * weight).T @ (b - mean_b))
    return matrix, mean_b - mean_a @ matrix


def write(path, onnx_path, positions, matrix, bias, size):
    model = onnx.load(onnx_path)
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    out = gguf.GGUFWriter(path, "clip")
    out.add_name("DINOv2-S/14 with a closed-form projector")
    out.add_file_type(1)
    out.add_bool("clip.has_vision_encoder", True)
    out.add_string("clip.projector_type", "internvl")
    out.add_bool("clip.use_gelu", True)
    for key, value in {"image_size": SIDE, "patch_size": PATCH, "embedding_length": WIDTH, "feed_forward_length": WIDTH * 4,
                       "block_count": LAYERS, "projection_dim": size, "attention.head_count": HEADS,
                       "projector.scale_factor": 2, "preproc_min_tiles": 1, "preproc_max_tiles": 1}.items():
        out.add_uint32("clip.vision." + key, value)
    out.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    out.add_array("clip.vision.image_mean", [0.485, 0.456, 0.406])
    out.add_array("clip.vision.image_std", [0.229, 0.224, 0.225])

    def single(name, values):
        out.add_tensor(name, np.ascontiguousarray(values, np.float32))

    def half(name, values):
        out.add_tensor(name, np.ascontiguousarray(values, np.float16))

    single("v.position_embd.weight", np.concatenate([positions[1:], positions[:1]]))
    single("v.class_embd", known["backbone.embeddings.cls_token"].reshape(WIDTH))
    half("v.patch_embd.weight", known["backbone.embeddings.patch_embeddings.projection.weight"])
    single("v.patch_embd.bias", known["backbone.embeddings.patch_embeddings.projection.bias"])
    for layer in range(LAYERS):
        prefix, own = f"backbone.encoder.layer.{layer}.", f"v.blk.{layer}."
        by = {node.name.split("/")[-2]: known[node.input[1]] for node in model.graph.node
              if node.op_type == "MatMul" and f"/layer.{layer}/" in node.name and node.input[1].startswith("onnx::")}
        for ours, theirs in (("attn_q", "query"), ("attn_k", "key"), ("attn_v", "value")):
            half(own + ours + ".weight", by[theirs].T)
            single(own + ours + ".bias", known[f"{prefix}attention.attention.{theirs}.bias"])
        half(own + "attn_out.weight", by["dense"].T)
        single(own + "attn_out.bias", known[prefix + "attention.output.dense.bias"])
        half(own + "ffn_up.weight", by["fc1"].T)
        single(own + "ffn_up.bias", known[prefix + "mlp.fc1.bias"])
        half(own + "ffn_down.weight", by["fc2"].T)
        single(own + "ffn_down.bias", known[prefix + "mlp.fc2.bias"])
        for ours, theirs in (("ln1", "norm1"), ("ln2", "norm2")):
            single(own + ours + ".weight", known[f"{prefix}{theirs}.weight"])
            single(own + ours + ".bias", known[f"{prefix}{theirs}.bias"])
        single(own + "ls1.weight", known[prefix + "layer_scale1.lambda1"])
        single(own + "ls2.weight", known[prefix + "layer_scale2.lambda1"])
    single("v.post_ln.weight", known["backbone.layernorm.weight"])
    single("v.post_ln.bias", known["backbone.layernorm.bias"])
    single("mm.model.mlp.0.weight", np.ones(WIDTH * 4))
    single("mm.model.mlp.0.bias", np.zeros(WIDTH * 4))
    half("mm.model.mlp.1.weight", np.concatenate([matrix.T, -matrix.T]))
    single("mm.model.mlp.1.bias", np.concatenate([bias, -bias]))
    half("mm.model.mlp.3.weight", np.concatenate([np.eye(size), -np.eye(size)], 1))
    single("mm.model.mlp.3.bias", np.zeros(size))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    encoder, language, folder = (Path(argument) for argument in sys.argv[1:])
    fitted, seen, unseen = scenes()
    for name, drawn in (("seen", seen), ("shapes", unseen)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index, (picture, _, (_, colour, shape)) in enumerate(drawn):
            picture.save(folder / name / f"{index:02}_{colour}_{shape}.png")
    with tempfile.TemporaryDirectory() as temporary:
        session, positions = network(encoder, temporary)
        rows = shuffled(features(session, [one[0] for one in fitted]))
    of, size = embeddings(language)
    matrix, bias = fit(rows, [one[1] for one in fitted], [one[2] for one in fitted], of, size)
    temporary = folder / "mmproj.gguf.part"
    write(temporary, encoder, positions, matrix, bias, size)
    temporary.rename(folder / "mmproj.gguf")
    print(folder / "mmproj.gguf")


if __name__ == "__main__":
    main()
