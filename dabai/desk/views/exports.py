"""Files of results for the province's platform: new and changed ones, each with a reason."""

from django.http import FileResponse, HttpRequest, HttpResponse
from django.urls import path

from dabai.access.guard import access_of, needs
from dabai.access.models import User
from dabai.access.rules import Permission
from dabai.desk import formats
from dabai.desk.forms import Field, Form, form
from dabai.desk.lists import PAGE, Cell, Listing, Row, columns
from dabai.desk.shell import (
    current,
    guarded,
    in_operation_only,
    number_in,
    on_refusal,
    operation_of,
    show,
    text,
)
from dabai.kernel.words import language_of
from dabai.testing import province
from dabai.testing.models import ProvinceExport
from dabai.testing.queries import rounds_of


@needs(Permission.EXPORT_RESULTS)
@on_refusal
@in_operation_only
def export_list(request: HttpRequest) -> HttpResponse:
    """Files that went to the province's platform, and the next one: only what is new or has changed."""
    operation, lang = operation_of(request), language_of(request)
    asked = export_form(request)
    if request.method == "POST" and asked.read(request.POST):
        with asked.refusals():
            made = province.export(
                by=access_of(request).user,
                operation=operation.pk,
                reason=asked["reason"],
                layout=asked["layout"],
                form=asked["form"],
                round_id=number_in(asked["round"]) or None,
            )
            return as_file(made)
    users = dict(User.objects.values_list("pk", "display_name"))
    rows = [
        Row(
            [
                Cell(text(request, "desk.export.number", number=one.number)),
                Cell(formats.number(one.rows)),
                Cell(users.get(one.by, "")),
                Cell(one.reason),
                Cell(bytes(one.digest).hex()[:16], mono=True),
                Cell(formats.when(one.made_at, lang)),
            ]
        )
        for one in ProvinceExport.objects.filter(operation=operation.pk).order_by("-number")[:PAGE]
    ]
    names = columns("export", "rows:number", "by", "reason:wide", "digest:code", "made_at:time")
    return show(
        request,
        "list_page.html",
        "exports",
        title=text(request, "desk.place.exports"),
        lead=text(request, "desk.export.lead"),
        listing=Listing(names, rows, "exports"),
        forms=[{"title": text(request, "desk.export.new"), "form": asked}],
        empty_icon="export",
    )


def export_form(request: HttpRequest) -> Form:
    """Which columns, which kind of file, and why."""
    now = current(request)
    rounds = [(one.pk, one.name) for one in rounds_of(operation_of(request).pk) if one.state != "draft"]
    return form(
        Field("layout", "select", options=list(province.layouts().items()), required=True),
        Field(
            "form", "select", value="csv", options=[("csv", "CSV"), ("xlsx", "XLSX")], required=True, label="file_form"
        ),
        Field(
            "round", "select", value=now.pk if now else "", options=[("", text(request, "desk.all_rounds")), *rounds]
        ),
        Field("reason", required=True, help="export"),
        submit="export",
    )


def as_file(made: province.Exported) -> HttpResponse:
    """The file as a download that no cache keeps."""
    return guarded(FileResponse(made.file, as_attachment=True, filename=made.name))  # type: ignore[arg-type, return-value]


urlpatterns = [
    path("exports/", export_list, name="exports"),
]
