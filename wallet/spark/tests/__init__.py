"""Tests of the Spark process: against the real package offline, the rest on a stand-in."""
