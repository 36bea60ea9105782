"""How good is an attribution method? Faithfulness, sensitivity, complexity and efficiency (METHOD section 5), over patients."""
