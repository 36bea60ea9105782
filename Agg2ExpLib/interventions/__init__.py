"""What the model would draw on another CT: regions removed, kept alone, made noisy or shifted."""
