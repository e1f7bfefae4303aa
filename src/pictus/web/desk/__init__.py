"""The desk: the pages at which people answer questions about pictures. A server of its own, `pictus annotate serve`."""
