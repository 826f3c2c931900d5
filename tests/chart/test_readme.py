"""The README of the chart says what values.yaml says, and values.yaml says something of every key."""

import json
import unittest

import yaml

import values_table
from chart import CHART


def leaves(values, path=()):
    for key, value in values.items():
        if isinstance(value, dict) and value and path != ("defaults",) or key in ("gpu", "drain", "state", "autoscaling", "pdb", "spread"):
            yield from leaves(value, (*path, key))
        else:
            yield ".".join((*path, key))


class Readme(unittest.TestCase):
    def test_its_tables_are_those_of_the_values(self):
        readme = (CHART / "README.md").read_text()
        self.assertEqual(readme, values_table.written(readme), "run tests/chart/values_table.py")

    def test_every_key_of_the_defaults_is_explained(self):
        explained = {key for key, _, _ in values_table.keys()}
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        for section in ("image", "tls", "models", "telemetry", "networkPolicy", "defaults"):
            for key in leaves(values[section], (section,)):
                self.assertIn(key, explained)

    def test_the_schema_knows_the_keys_of_the_values_and_no_other(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        self.assertEqual(set(schema["properties"]), {*values, "global"})
        self.assertEqual(set(schema["properties"]["defaults"]["properties"]), set(values["defaults"]))
        self.assertEqual(set(schema["definitions"]["service"]["properties"]), {*values["defaults"], "enabled"})
        self.assertEqual(set(schema["properties"]["services"]["properties"]), set(values["services"]))


if __name__ == "__main__":
    unittest.main()
