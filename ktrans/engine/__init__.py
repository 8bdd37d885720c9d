"""How a run proceeds: plan, process, commit, record; and how it fails and resumes."""
