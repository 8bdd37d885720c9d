"""What verbs need beyond running a pipeline: checks, plans, previews, tests of pipelines, templates."""
