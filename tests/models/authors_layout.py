"""Where each tensor of the authors' network lives in ours (facts of the reference description, section 6)."""

from __future__ import annotations

import re

PARAMETRIZED = "parametrizations.weight."


def our_name(authors: str, modalities: tuple[str, ...]) -> str:
    """Return our parameter's name for one of theirs."""
    position = {name: str(index) for index, name in enumerate(modalities)}
    rules = [
        (r"bottleneck_down\.linear\.(.*)", r"top.emit.\1"),
        (r"bottleneck_up\.linear\.(.*)", r"top.spread.\1"),
        (r"first_conv\.(\w+)\.(.*)", r"encoders.@\1.stem.\2"),
        (r"conv_blocks_context\.(\w+)\.(\d+)\.conv_0\.(.*)", r"encoders.@\1.cells.\2.first.\3"),
        (r"conv_blocks_context\.(\w+)\.(\d+)\.conv_1\.(.*)", r"encoders.@\1.cells.\2.second.\3"),
        (r"conv_blocks_context\.(\w+)\.(\d+)\.se\.se\.0\.(.*)", r"encoders.@\1.cells.\2.gate.squeeze.\3"),
        (r"conv_blocks_context\.(\w+)\.(\d+)\.se\.se\.2\.(.*)", r"encoders.@\1.cells.\2.gate.excite.\3"),
        (r"td\.(\w+)\.(\d+)\.(.*)", r"encoders.@\1.strides.\2.\3"),
        (r"conv_blocks_localization\.(\d+)\.conv_0\.(.*)", r"steps.\1.cell.expand.\2"),
        (r"conv_blocks_localization\.(\d+)\.dw_conv_1\.(.*)", r"steps.\1.cell.depthwise.\2"),
        (r"conv_blocks_localization\.(\d+)\.se_2\.se\.0\.(.*)", r"steps.\1.cell.gate.squeeze.\2"),
        (r"conv_blocks_localization\.(\d+)\.se_2\.se\.2\.(.*)", r"steps.\1.cell.gate.excite.\2"),
        (r"conv_blocks_localization\.(\d+)\.conv_2\.(.*)", r"steps.\1.cell.project.\2"),
        (r"tu\.(\d+)\.conv_1\.(.*)", r"steps.\1.upsample.convolution.\2"),
        (r"qz\.(\d+)\.conv_0\.(.*)", r"steps.\1.expert.first.\2"),
        (r"qz\.(\d+)\.conv_1\.(.*)", r"steps.\1.expert.second.\2"),
        (r"qz\.(\d+)\.se\.se\.0\.(.*)", r"steps.\1.expert.gate.squeeze.\2"),
        (r"qz\.(\d+)\.se\.se\.2\.(.*)", r"steps.\1.expert.gate.excite.\2"),
        (r"qz\.(\d+)\.last_conv\.(.*)", r"steps.\1.expert.emit.\2"),
        (r"pz\.(\d+)\.(.*)", r"steps.\1.prior.emit.\2"),
        (r"final_blocks\.(\w+)\.res\.(\d+)\.conv_block\.1\.(.*)", r"heads.@\1.blocks.\2.first.\3"),
        (r"final_blocks\.(\w+)\.res\.(\d+)\.conv_block\.5\.(.*)", r"heads.@\1.blocks.\2.second.\3"),
        (r"final_blocks\.(\w+)\.convt2\.(.*)", r"heads.@\1.mix.\2"),
        (r"final_blocks\.(\w+)\.convt3\.(.*)", r"heads.@\1.emit.\2"),
    ]
    for pattern, ours in rules:
        match = re.fullmatch(pattern, authors)
        if match:
            return re.sub(r"@(\w+)", lambda found: position[found[1]], match.expand(ours))
    raise KeyError(authors)
