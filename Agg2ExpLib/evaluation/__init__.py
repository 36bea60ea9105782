"""How good is an attribution method? Faithfulness, sensitivity, complexity (equations 8 to 10) and efficiency."""
