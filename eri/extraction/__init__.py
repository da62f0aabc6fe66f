"""From a clip table to feature files: extractors, the pipeline, and the engines that it runs on."""
