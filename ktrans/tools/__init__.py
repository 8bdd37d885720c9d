"""What the verbs need and a run does not: doctor, plan, preview, tests of pipelines, templates."""
