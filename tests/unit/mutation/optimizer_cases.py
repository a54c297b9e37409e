"""Every optimizer of torch and of dagrow, with the options that change what it keeps."""

from torch import optim

from dagrow.contrib.nonparametric import AdaRad, AdaRadM

LR = 0.03
CASES = {
    "sgd": (optim.SGD, {}),
    "sgd_momentum": (optim.SGD, {"momentum": 0.9}),
    "sgd_nesterov": (optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "sgd_dampening": (optim.SGD, {"momentum": 0.8, "dampening": 0.3, "maximize": True}),
    "adam": (optim.Adam, {"weight_decay": 0.02}),
    "adam_amsgrad": (optim.Adam, {"amsgrad": True}),
    "adam_foreach": (optim.Adam, {"foreach": True}),
    "adam_fused": (optim.Adam, {"fused": True}),
    "adamw": (optim.AdamW, {}),
    "adamw_amsgrad": (optim.AdamW, {"amsgrad": True, "maximize": True}),
    "nadam": (optim.NAdam, {}),
    "radam": (optim.RAdam, {}),
    "adamax": (optim.Adamax, {}),
    "adadelta": (optim.Adadelta, {}),
    "adagrad": (optim.Adagrad, {"lr_decay": 0.1}),
    "adagrad_started": (optim.Adagrad, {"initial_accumulator_value": 0.3}),
    "rmsprop": (optim.RMSprop, {}),
    "rmsprop_centered": (optim.RMSprop, {"centered": True, "momentum": 0.9}),
    "rprop": (optim.Rprop, {}),
    "asgd": (optim.ASGD, {"t0": 2}),
    "muon": (optim.Muon, {}),
    "adarad": (AdaRad, {"radial_lr": 0.2}),
    "adarad_m": (AdaRadM, {"radial_lr": 0.2}),
}
REFUSED = {optim.LBFGS, optim.Adafactor, optim.SparseAdam}
PER_WEIGHT = [name for name in CASES if name not in ("muon", "adarad", "adarad_m")]
"""Muon orthogonalises a matrix as a whole, AdaRad turns a row as a whole: new columns change the update of the rest."""
