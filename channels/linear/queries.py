"""Everything that is ever asked of Linear. Tests hold each of these against Linear's own schema."""

from __future__ import annotations

VIEWER = """
query Viewer {
  viewer { id name displayName }
  organization { id name }
}
"""

_COMMENT = """
fragment Said on Comment {
  id
  body
  bodyData
  createdAt
  updatedAt
  editedAt
  archivedAt
  user { id name displayName app }
  externalUser { id name }
  botActor { id name type }
  parent { id user { id } }
  agentSession { id }
  reactions { emoji user { id name } }
  issue {
    id
    identifier
    title
    description
    team { id }
    assignee { id }
    delegate { id }
  }
}
"""

COMMENTS = (
    """
query Comments($filter: CommentFilter!, $first: Int!, $after: String) {
  comments(
    filter: $filter, first: $first, after: $after, orderBy: updatedAt, includeArchived: true
  ) {
    nodes { ...Said }
    pageInfo { hasNextPage endCursor }
  }
}
"""
    + _COMMENT
)

COMMENT = """
query Comment($id: String!) {
  comment(id: $id) { id user { id } }
}
"""

ACTIVITY = """
query Activity($id: String!) {
  agentActivity(id: $id) { id }
}
"""

CREATE_COMMENT = """
mutation CreateComment($input: CommentCreateInput!) {
  commentCreate(input: $input) { success comment { id } }
}
"""

CHANGE_COMMENT = """
mutation ChangeComment($id: String!, $input: CommentUpdateInput!) {
  commentUpdate(id: $id, input: $input, skipEditedAt: true) { success comment { id } }
}
"""

CREATE_ACTIVITY = """
mutation CreateActivity($input: AgentActivityCreateInput!) {
  agentActivityCreate(input: $input) { success agentActivity { id } }
}
"""
