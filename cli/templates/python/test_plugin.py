import unittest

from plugin import answer


class Plugin(unittest.TestCase):
    def call(self, tool, **args):
        return answer({"id": 1, "method": "call", "params": {"tool": tool, "args": args}})

    def test_it_greets(self):
        self.assertEqual(self.call("greet", name="Ada")["result"], {"greeting": "Hello, Ada!"})

    def test_bad_input_is_an_error_and_not_the_end(self):
        self.assertIn("error", self.call("greet", nobody=1))
        self.assertIn("error", self.call("no such tool"))

    def test_it_says_what_it_offers(self):
        tools = answer({"id": 1, "method": "describe"})["result"]["tools"]
        self.assertEqual([tool["name"] for tool in tools], ["greet"])


if __name__ == "__main__":
    unittest.main()
