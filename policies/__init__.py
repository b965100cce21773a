"""Everything with `predict`: the XR-0 policy and the scripted experts; loads nothing by itself."""
