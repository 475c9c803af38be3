"""Three ways to run the same app: in this process, on Ray, on SuperLink and SuperNodes."""
