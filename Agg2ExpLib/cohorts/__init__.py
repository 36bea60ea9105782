"""From one patient to a cohort: global importance, outliers, group tests, and many patients on one machine or a cluster."""
