"""The figures of the paper (RELAND, RecSys 2024) that a benchmark's are shown beside: NDCG@10 and HR@10 of Table 2."""

DATA_SETS = {"ml-1m": "ML-1M", "amazon-beauty": "Beauty", "amazon-sports": "Sports"}

# data set -> backbone -> variant -> (NDCG@10, HR@10)
TABLE_2: dict[str, dict[str, dict[str, tuple[float, float]]]] = {
    "amazon-sports": {
        "neumf": {"id_only": (0.0088, 0.0178), "item_features": (0.0091, 0.0189), "reland": (0.0094, 0.0195)},
        "ngcf": {"id_only": (0.0132, 0.0272), "item_features": (0.0134, 0.0271), "reland": (0.0136, 0.0274)},
        "lightgcn": {"id_only": (0.0155, 0.0307), "item_features": (0.0155, 0.0308), "reland": (0.0164, 0.0322)},
        "gru4rec": {"id_only": (0.0183, 0.0348), "item_features": (0.0242, 0.0474), "reland": (0.0250, 0.0475)},
        "sasrec": {"id_only": (0.0226, 0.0484), "item_features": (0.0243, 0.0467), "reland": (0.0257, 0.0494)},
        "duorec": {"id_only": (0.0241, 0.0478), "item_features": (0.0251, 0.0485), "reland": (0.0256, 0.0488)},
    },
    "amazon-beauty": {
        "neumf": {"id_only": (0.0154, 0.0323), "item_features": (0.0168, 0.0351), "reland": (0.0173, 0.0360)},
        "ngcf": {"id_only": (0.0188, 0.0388), "item_features": (0.0193, 0.0419), "reland": (0.0200, 0.0419)},
        "lightgcn": {"id_only": (0.0216, 0.0465), "item_features": (0.0225, 0.0470), "reland": (0.0230, 0.0476)},
        "gru4rec": {"id_only": (0.0343, 0.0620), "item_features": (0.0406, 0.0724), "reland": (0.0406, 0.0776)},
        "sasrec": {"id_only": (0.0410, 0.0831), "item_features": (0.0429, 0.0811), "reland": (0.0440, 0.0841)},
        "duorec": {"id_only": (0.0426, 0.0799), "item_features": (0.0433, 0.0811), "reland": (0.0443, 0.0829)},
    },
    "ml-1m": {
        "neumf": {"id_only": (0.0764, 0.3570), "item_features": (0.0767, 0.3515), "reland": (0.0797, 0.3618)},
        "ngcf": {"id_only": (0.0808, 0.3639), "item_features": (0.0813, 0.3671), "reland": (0.0827, 0.3684)},
        "lightgcn": {"id_only": (0.0806, 0.3659), "item_features": (0.0794, 0.3609), "reland": (0.0818, 0.3707)},
        "gru4rec": {"id_only": (0.1419, 0.2551), "item_features": (0.1451, 0.2593), "reland": (0.1474, 0.2616)},
        "sasrec": {"id_only": (0.1167, 0.2288), "item_features": (0.1183, 0.2253), "reland": (0.1224, 0.2303)},
        "duorec": {"id_only": (0.1180, 0.2276), "item_features": (0.1196, 0.2263), "reland": (0.1245, 0.2328)},
    },
}

# data set -> method -> (NDCG@10, HR@10, inferences, hours), on SASRec
TABLE_3: dict[str, dict[str, tuple[float, float, int, float]]] = {
    "amazon-sports": {
        "kar": (0.0240, 0.0422, 53_955, 6.29),
        "slim": (0.0234, 0.0495, 296_337, 34.57),
        "reland": (0.0257, 0.0494, 3_556, 0.41),
    },
    "amazon-beauty": {
        "kar": (0.0417, 0.0740, 34_464, 3.06),
        "slim": (0.0445, 0.0850, 198_502, 23.16),
        "reland": (0.0440, 0.0841, 2_236, 0.26),
    },
    "ml-1m": {
        "kar": (0.1209, 0.2263, 9_993, 1.16),
        "slim": (0.1222, 0.2265, 1_000_000, 116.67),
        "reland": (0.1224, 0.2303, 604, 0.07),
    },
}
