"""How a student is treated: free corrections, then trials in rounds, then what is chosen."""
