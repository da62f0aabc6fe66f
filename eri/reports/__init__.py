"""Pages, charts and images of runs, data sets and predictions; every page is one file that fetches nothing."""
