"""The rooms that touch the machine. Each returns values of the model and concludes nothing."""
