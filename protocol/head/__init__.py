"""The HEAD: what the network says every ten minutes, who said it, who signed it and who is paid for it.

Pure rules. A :class:`protocol.head.head.Head` names the models that speak and the Merkle roots of the predictions and of
the rewards; more than two thirds of the validators' stake sign its hash. Everything that is hashed is made of texts and
whole numbers, so that another implementation computes the same; see ``docs/spec/head.md``.
"""
