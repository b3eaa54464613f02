"""A model server in Python that stands in for TF Serving where its binary is not there.

It speaks TF Serving's gRPC protocol with TF Serving's messages, flags, configuration file and
status codes, and loads SavedModels with the same (session) loader. It differs in this:

- it listens on 127.0.0.1 only, and has no REST interface and no monitoring; their flags are
  accepted, so that one command line starts either, and it says that they do nothing;
- it looks at images before it computes, says which one is damaged or too large, and in a batch
  fails that request alone; TF Serving fails the whole batch;
- when it batches, a signature without inputs (`metadata`) still answers;
- it refuses requests above 256 MiB and more than 1,000 at once, if not told otherwise;
- it answers status requests while the first models still load, and does not end when one of
  them cannot be loaded: that version is END, with its error;
- when none of the versions a configuration names is on the disk, the one that serves stays.
"""
