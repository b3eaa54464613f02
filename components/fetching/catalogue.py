"""Public data sets: where they are, under which terms, and what to call their files."""

from __future__ import annotations

from dataclasses import dataclass

from segtrail.errors import ConfigError
from segtrail.words import near


@dataclass(frozen=True)
class PublicSet:
    """One public data set.

    Attributes:
        name: The dataset's name in `params.yaml`.
        title: What its publisher calls it.
        file: What the downloaded archive is called.
        page: The publisher's page about it.
        licence: SPDX, or the terms in a few words; what the adapter of the same name says.
        citation: The paper that users are asked to cite.
        url: The archive; empty if the publisher wants to be asked first.
        sha256: Of the archive; empty if the publisher does not say it.
        ask: How to get it, where there is no `url`.
    """

    name: str
    title: str
    file: str
    page: str
    licence: str
    citation: str
    url: str = ""
    sha256: str = ""
    ask: str = ""


CATALOGUE = {
    item.name: item
    for item in (
        PublicSet(
            name="dsb2018",
            title="2018 Data Science Bowl, stage 1 train (BBBC038v1)",
            file="stage1_train.zip",
            page="https://bbbc.broadinstitute.org/BBBC038",
            licence="CC0-1.0",
            citation="Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 "
            "Data Science Bowl, Nature Methods 16 (2019) 1247-1253",
            url="https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip",
        ),
        PublicSet(
            name="wbc",
            title="White blood cells, Datasets 1 and 2",
            file="segmentation_WBC.zip",
            page="https://github.com/zxaoyou/segmentation_WBC",
            licence="GPL-3.0, citing Zheng et al. 2018, doi:10.1016/j.micron.2018.01.010",
            citation="Zheng et al., Fast and robust segmentation of white blood cell images by "
            "self-supervised learning, Micron 107 (2018) 55-71",
            ask="read the terms on the page and download the repository as a zip (Code, "
            "Download ZIP)",
        ),
        PublicSet(
            name="isbi2012",
            title="ISBI 2012 challenge: segmentation of neuronal structures in EM stacks",
            file="isbi2012.zip",
            page="https://imagej.net/events/isbi-2012-segmentation-challenge",
            licence="non-commercial segmentation software, citing TrakEM2 and Cardona et al. 2010, "
            "doi:10.1371/journal.pbio.1000502",
            citation="Arganda-Carreras et al., Crowdsourcing the creation of image segmentation "
            "algorithms for connectomics, Frontiers in Neuroanatomy 9:142 (2015); Cardona et "
            "al., PLoS Biology 8(10):e1000502 (2010)",
            ask="register with the organisers, and put train-volume.tif and train-labels.tif "
            "into one zip",
        ),
        PublicSet(
            name="drishti-gs",
            title="Drishti-GS1: retinal images with optic disc and cup",
            file="Drishti-GS1_files.zip",
            page="https://cvit.iiit.ac.in/projects/mip/drishti-gs/mip-dataset2/Home.php",
            licence="research use, citing Sivaswamy et al., ISBI 2014",
            citation="Sivaswamy et al., Drishti-GS: retinal image dataset for optic nerve head "
            "(ONH) segmentation, ISBI 2014, 53-56",
            ask="register on the page; the publisher sends a link. If the archive is a rar, "
            "pack its folder Drishti-GS1_files as a zip",
        ),
    )
}


def look_up(name: str) -> PublicSet:
    """Returns a set by its name.

    Raises:
        ConfigError: No such set.
    """
    if name not in CATALOGUE:
        raise ConfigError(
            f"{name!r} is not a public data set that segtrail knows; there are "
            f"{', '.join(CATALOGUE)}.{near(name, CATALOGUE)}",
            "for images of your own: segtrail ingest SOURCE --dataset NAME",
        )
    return CATALOGUE[name]
