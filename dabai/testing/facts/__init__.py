"""The field's facts about a round of testing: their bodies, and handlers that write the typed rows of a batch.

A handler refuses only what the fact itself and effective-dated reference data make impossible (unknown round or site,
out of scope, a box code scanned as a tube); whatever depends on other facts is derived later. Each handler runs a
fixed number of statements however many facts the batch has.
"""

from dabai.testing.facts import custody, results, roster, samples

KINDS = (*samples.KINDS, *custody.KINDS, *results.KINDS, *roster.KINDS)
