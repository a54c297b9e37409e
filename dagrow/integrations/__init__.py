"""Estimators for scikit-learn and the callback for Lightning; what they need is imported with their modules only."""
