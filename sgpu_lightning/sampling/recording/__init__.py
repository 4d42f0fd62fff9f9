"""Recording a model's hidden states."""
