"""The desk's addresses, one list a domain."""

from dabai.desk.views import (
    accounts,
    audit,
    bulletins,
    coverage,
    exports,
    imports,
    inbox,
    people,
    places,
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
    *exports.urlpatterns,
    *places.urlpatterns,
    *accounts.urlpatterns,
    *audit.urlpatterns,
]
