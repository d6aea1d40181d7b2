"""Columns of the registry of timm's networks."""

import pyarrow as pa

# A row for each pretrained tag, depthwise or not, so that an unknown name is not confused with one
# without depthwise layers.
TAGS = pa.schema(
    {
        "name": pa.string(),
        "architecture": pa.string(),
        "family": pa.string(),  # module of timm
        "default": pa.bool_(),  # whether the bare architecture name stands for this tag
        "hub": pa.string(),  # owner/repository
        "filename": pa.string(),  # where it is not the hub's usual one
        "url": pa.string(),  # used by timm only where there is no hub
        "license": pa.string(),
        "input_size": pa.list_(pa.int16()),  # channels, height, width
        "kernels": pa.int32(),
        "sizes": pa.list_(pa.struct({"kh": pa.int16(), "kw": pa.int16(), "kernels": pa.int32()})),
        "depthwise_bytes": pa.int64(),
        "bytes": pa.int64(),
        "digest": pa.string(),  # of the architecture's layers
        "maps": pa.string(),  # digest of their maps at the input size
    }
)
LAYERS = pa.schema(
    {
        "architecture": pa.dictionary(pa.int32(), pa.string()),
        "layer_index": pa.int16(),
        "layer": pa.string(),
        "channels": pa.int32(),
        "kh": pa.int16(),
        "kw": pa.int16(),
        "stride": pa.int16(),
        "dilation": pa.int16(),
        "aliases": pa.list_(pa.string()),
        "norm": pa.string(),  # the batch norm that follows directly, and nothing else does
        "eps": pa.float64(),  # of this norm
    }
)
TENSORS = pa.schema(
    {
        "architecture": pa.string(),
        "shapes": pa.list_(pa.dictionary(pa.int32(), pa.string())),  # `shape_texts`
    }
)
# Of a layer, of the map before it, and by how much windows exceed this.
PIXELS = ("kh", "kw", "stride", "dilation", "height", "width", "left", "top", "right", "bottom")
MAPS = pa.schema(
    {
        "maps": pa.dictionary(pa.int32(), pa.string()),  # their digest, which several tags have
        "layer": pa.string(),
        **dict.fromkeys(PIXELS, pa.int16()),
    }
)
