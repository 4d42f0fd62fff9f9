"""Answer sets: the record, the store, grading and the scored answer. This package imports no other stage."""
