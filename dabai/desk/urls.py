"""The desk's addresses, one list a domain."""

from dabai.desk.views import (
    administration,
    bulletins,
    coverage,
    imports,
    inbox,
    people,
    results,
    rounds,
    session,
    tubes,
)

app_name = "desk"
urlpatterns = [
    *session.urlpatterns,
    *coverage.urlpatterns,
    *inbox.urlpatterns,
    *rounds.urlpatterns,
    *people.urlpatterns,
    *tubes.urlpatterns,
    *imports.urlpatterns,
    *results.urlpatterns,
    *bulletins.urlpatterns,
    *administration.urlpatterns,
]
