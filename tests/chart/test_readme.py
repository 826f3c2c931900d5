"""The README of the chart says what values.yaml says, and values.yaml says something of every key."""

import json
import re
import unittest

import yaml

import values_table
from chart import CHART


def leaves(values, path=()):
    for key, value in values.items():
        if isinstance(value, dict) and value and key != "resources":
            yield from leaves(value, (*path, key))
        else:
            yield ".".join((*path, key))


class Readme(unittest.TestCase):
    def test_its_tables_are_those_of_the_values(self):
        readme = (CHART / "README.md").read_text()
        self.assertEqual(readme, values_table.written(readme), "run tests/chart/values_table.py")

    def test_every_key_is_explained(self):
        explained = {key for key, _, _ in values_table.keys()}
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        # What a component says over the defaults is explained there.
        defaults = set(leaves(values["defaults"]))
        services = {f"services.{name}.enabled" for name in values["services"]}
        for key in set(leaves(values)) - services:
            above = re.sub(r"^(gateway|services\.[a-z-]+)\.", "", key)
            if above == key or not (above in defaults or above.startswith("config.")):
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
