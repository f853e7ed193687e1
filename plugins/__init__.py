"""The plug-in interface (`plugins.api` is all a third party imports), discovery, and bundled plug-ins."""
