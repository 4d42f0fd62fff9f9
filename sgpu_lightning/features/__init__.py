"""From answer sets to the features that the GP sees."""
