"""A process that stays alive between jobs: model, CT and what was computed of them are kept."""
