"""Stand-ins for services that belong to others, each as strict as the original."""
