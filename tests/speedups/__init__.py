"""The compiled core beside its references. In whichever twin the suite runs, both are at hand."""
