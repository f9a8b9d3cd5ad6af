"""The read path measured: made-up data, the contestants' servers, the load, the report."""
