"""Explain a network of one's own: any torch.nn.Module that turns CT windows into logits. Needs chest.nii.gz and network.pt here."""

import torch
from monai.networks.nets import BasicUNet

import Agg2ExpLib as agg2exp

network = BasicUNet(3, 1, 3, features=(8, 8, 16, 16, 16, 8))
network.load_state_dict(torch.load("network.pt", weights_only=True))
model = agg2exp.Model(network.eval(), ["background", "lung", "heart"], spacing=(6, 6, 6), roi_size=32)
result = agg2exp.explain("chest.nii.gz", model, labels=["lung", "heart"], samples=5)
print(result.matrix.to_frame().round(3))
result.plot("heart", "heart.png")
result.save("result")
