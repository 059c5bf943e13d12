"""Nothing is asked of Linear that its own schema does not know."""

from __future__ import annotations

import graphql
import pytest

from channels.linear import queries
from tests.fakes.linear_schema import schema

QUESTIONS = {
    name: text for name, text in vars(queries).items() if name.isupper() and name[0] != "_"
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_one_that_linear_understands(name: str) -> None:
    assert graphql.validate(schema(), graphql.parse(QUESTIONS[name])) == []


def test_the_schema_is_linears_own() -> None:
    assert graphql.validate_schema(schema()) == []
    comment = schema().type_map["Comment"]
    assert isinstance(comment, graphql.GraphQLObjectType)
    assert str(comment.fields["body"].type) == "String!"
    wrong = graphql.parse('{ comments(orderBy: "updatedAt") { nodes { id } } }')
    assert "non-enum" in str(graphql.validate(schema(), wrong)[0])
