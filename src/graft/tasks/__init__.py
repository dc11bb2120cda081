"""One file a task, and the registry that names them as Hugging Face pipelines do."""
