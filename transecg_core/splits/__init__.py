"""Who trains, what enrols, what probes: protocols, membership coins, and their guards."""
