"""The heads that fuse several modalities.

A modality in which a clip has no valid row takes no part in gates, attention and means, and enters a concatenation as
what its encoder gives for an empty sequence.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from eri.config import (
    ConcatenationConfig,
    CrossAttentionConfig,
    FusionBase,
    FusionLSTMConfig,
    GatedConfig,
    LateConfig,
)
from eri.models.encoders import Encoded, create_encoder
from eri.models.encoders.recurrent import LastState
from eri.models.encoders.transformer import Attention
from eri.models.heads.single import Branch, Head, dense
from eri.models.sequences import Sequences


class FusionHead(Head, ABC):
    """A branch for each modality; what joins them is up to the subclass."""

    def __init__(self, config: FusionBase, dimensions: Mapping[str, int]) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({name: Branch(config.encoder, length) for name, length in dimensions.items()})

    def states(self, sequences: Mapping[str, Sequences]) -> list[Tensor]:
        """Return one vector per modality, (clips, dense) each."""
        return [branch(sequences[name]) for name, branch in self.branches.items()]

    def taking_part(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """Return which modalities count, bool (clips, modalities): those with a valid row; all where none has one."""
        present = torch.stack([sequences[name].present for name in self.branches], dim=1)
        return present | ~present.any(dim=1, keepdim=True)


class ConcatenationHead(FusionHead):
    """The modalities' pooled vectors side by side, and a joint layer."""

    def __init__(self, config: ConcatenationConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__(config, dimensions)
        self.output = _joint_output(config.encoder.dense * len(dimensions), config.joint, config.dropout, labels)

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        result: Tensor = self.output(torch.cat(self.states(sequences), dim=1))
        return result


class GatedHead(FusionHead):
    """The gated multimodal unit (Arevalo et al. 2017, section 3.2), its two gates a softmax over any number.

    ``h = sum_m z_m * tanh(W_m x_m)`` with ``z = softmax_m(V [x_1, ..., x_M])``, each unit with gates of its own.
    """

    def __init__(self, config: GatedConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__(config, dimensions)
        size, modalities = config.encoder.dense, len(dimensions)
        self.values = nn.ModuleDict({name: nn.Linear(size, size) for name in dimensions})
        self.gates = nn.Linear(size * modalities, size * modalities)
        self.output = nn.Linear(size, labels)

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        states = self.states(sequences)
        values = torch.stack([torch.tanh(net(x)) for net, x in zip(self.values.values(), states, strict=True)], dim=1)
        gates = self.gates(torch.cat(states, dim=1)).view(values.shape)
        absent = ~self.taking_part(sequences)[..., None]
        shares = torch.softmax(gates.masked_fill(absent, float("-inf")), dim=1)
        result: Tensor = self.output((shares * values).sum(dim=1))
        return result


class CrossAttentionHead(Head):
    """Each modality's vector attends to the encoded rows of all others, then they are joined.

    After the crossmodal attention of Tsai et al. (2019, eq. 3), with the pooled vector as the one query.
    """

    def __init__(self, config: CrossAttentionConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        encoder, width = config.encoder, config.encoder.width
        self.encoders = nn.ModuleDict({name: create_encoder(encoder, length) for name, length in dimensions.items()})
        self.query_norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in dimensions})
        self.row_norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in dimensions})
        self.attentions = nn.ModuleDict({name: Attention(width, config.attention_heads) for name in dimensions})
        self.dense = nn.ModuleDict(
            {name: nn.Sequential(*dense(width, encoder.dense, encoder.dropout)) for name in dimensions}
        )
        self.output = _joint_output(encoder.dense * len(dimensions), config.joint, config.dropout, labels)

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        encoded: dict[str, Encoded] = {name: encoder(sequences[name]) for name, encoder in self.encoders.items()}
        rows = {name: norm(encoded[name].rows.values) for name, norm in self.row_norms.items()}
        states = []
        for name, attention in self.attentions.items():
            others = [other for other in encoded if other != name]
            keys = torch.cat([rows[other] for other in others], dim=1)
            mask = torch.cat([encoded[other].rows.mask for other in others], dim=1)
            summary = encoded[name].summary
            query = self.query_norms[name](summary)[:, None]
            states.append(self.dense[name](summary + attention(query, keys, mask).squeeze(1)))
        result: Tensor = self.output(torch.cat(states, dim=1))
        return result


class FusionLSTMHead(Head):
    """Parallel LSTMs, a dense layer each, a joint layer (Qian et al. 2023, fig. 3, multimodal).

    A modality in which a clip has no valid row enters as the zero state.
    """

    def __init__(self, config: FusionLSTMConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        size, units, dropout = config.hidden_size, config.dense, config.dropout
        self.encoders = nn.ModuleDict({name: LastState(length, size) for name, length in dimensions.items()})
        self.dense = nn.ModuleDict(
            {name: nn.Sequential(nn.Dropout(dropout), *dense(size, units, dropout)) for name in dimensions}
        )
        self.output = _joint_output(units * len(dimensions), config.joint, dropout, labels)

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        states = [self.dense[name](encoder(sequences[name])) for name, encoder in self.encoders.items()]
        result: Tensor = self.output(torch.cat(states, dim=1))
        return result


class LateHead(FusionHead):
    """The mean of one prediction per modality: of intensities where they are asked for, else of raw outputs."""

    def __init__(self, config: LateConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__(config, dimensions)
        self.outputs = nn.ModuleDict({name: nn.Linear(config.encoder.dense, labels) for name in dimensions})

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        return self.bounded(sequences, lambda raw: raw)[1]

    def bounded(self, sequences: Mapping[str, Sequences], bound: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """See :meth:`Head.bounded`."""
        raw = [net(state) for net, state in zip(self.outputs.values(), self.states(sequences), strict=True)]
        part = self.taking_part(sequences)
        shares = (part / part.sum(dim=1, keepdim=True)).to(raw[0].dtype)[..., None]
        intensities = torch.stack([bound(output) for output in raw], dim=1)
        return (shares * intensities).sum(dim=1), (shares * torch.stack(raw, dim=1)).sum(dim=1)


def _joint_output(inputs: int, joint: int, dropout: float, labels: int) -> nn.Sequential:
    return nn.Sequential(*dense(inputs, joint, dropout), nn.Linear(joint, labels))
