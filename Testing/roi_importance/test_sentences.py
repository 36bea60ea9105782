"""Sentences say the numbers of the matrix, and nothing that it does not say."""

import math
from dataclasses import replace

import numpy as np

from Agg2ExpLib.roi_importance.matrix import Regions, importance_matrix
from Agg2ExpLib.roi_importance.sentences import Effect, effect_sentence, sentence_of


def matrix():
    segmentation = np.zeros((10, 10, 10), np.uint8)
    segmentation[:2], segmentation[8:] = 1, 2
    attribution = np.zeros((10, 10, 10), np.float32)
    attribution[:2] = 1.0  # 200
    attribution[8:] = -0.5  # 100
    attribution[4] = 1.0  # 100
    regions = Regions(segmentation, ["background", "heart", "lung_upper_lobe_left"])
    return importance_matrix(regions, {"heart": regions.sums(attribution)}, {"heart": np.array([0.001, 0.012, 0.002])})


def test_the_numbers_of_the_matrix():
    assert sentence_of(matrix(), "heart") == (
        "Heart: 50.0 ± 1.2 % of what the model leaned on lies in the heart itself (2.5 times its share of the volume), "
        "25.0 ± 0.2 % in the lung upper lobe left; 25 % lies in no labelled region. In sum 75 % of it supports the label."
    )


def test_the_limit_is_told_where_it_is_known():
    known = matrix()
    limit = np.array([[0.3, 0.45, 0.25]])
    told = replace(known, limit=limit, limit_error=np.full((1, 3), 0.02), enrichment_limit=limit / [[0.6, 0.2, 0.2]])
    told = replace(told, positive_limit=limit * [[1, 1, 0]], negative_limit=limit * [[0, 0, 1]])
    assert "45.0 ± 2.0 %" in sentence_of(told, "heart")
    assert "2.2 times" in sentence_of(told, "heart") or "2.3 times" in sentence_of(told, "heart")


def test_effects():
    effects = {
        "heart": Effect(-100, 0.0),
        "lung_upper_lobe_left": Effect(-3.2, 0.91),
        "aorta": Effect(0.4, 0.995),
        "absent": Effect(math.nan, math.nan),
    }
    assert effect_sentence("heart", effects) == (
        "Of 2 other regions, removing the lung upper lobe left changes it most: volume -3.2 %, Dice 0.91."
    )
    quiet = {"aorta": Effect(0.4, 0.995)}
    assert effect_sentence("heart", quiet) == (
        "Removing any one of 1 other regions changes the heart by less than 1 % (Dice at least 0.99)."
    )
    assert effect_sentence("heart", {"heart": Effect(-100, 0.0)}) == ""
